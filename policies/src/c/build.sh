#!/bin/sh
# Builds the policies in C and writes them, with their digests, to
# policies/shipped. Run from this folder. Needs clang and wasm-ld (14 or later);
# compiling and linking apart keeps clang from running another tool in between.
set -eu
out=../../shipped
for dir in */; do
	name=${dir%/}
	clang --target=wasm32 -O3 -nostdlib -Wall -Wextra -Werror -c "$name/$name.c" -o "/tmp/$name.$$.o"
	wasm-ld --no-entry --strip-all -z stack-size=16384 "/tmp/$name.$$.o" -o "$out/$name-c.wasm"
	rm "/tmp/$name.$$.o"
	chmod 644 "$out/$name-c.wasm"
done
cd "$out"
sha256sum -- *.wasm >SHA256SUMS
