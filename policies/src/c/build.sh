#!/bin/sh
# Builds the policies in C to policies/shipped. Run by policies/src/build.sh, or
# from this folder. Needs clang and wasm-ld (14 or later); compiling and linking
# apart keeps clang from running another tool in between.
set -eu
out=${1:-../../shipped} # folder to write
object=$(mktemp)
trap 'rm -f "$object"' EXIT
for dir in */; do
	name=${dir%/}
	clang --target=wasm32 -std=c11 -O3 -ffreestanding -mbulk-memory -ffp-contract=off \
		-Wall -Wextra -Werror -I ../../../sdk/c -c "$name/$name.c" -o "$object"
	wasm-ld --no-entry --strip-all -z stack-size=65536 "$object" -o "$out/$name-c.wasm"
	chmod 644 "$out/$name-c.wasm"
done
