#!/bin/sh
# Builds every .wat of this folder into the .wasm beside it. Needs wat2wasm of
# wabt, 1.0.32 or later. The proposals are switched on for the modules that use
# them to be refused; "invalid" is built without a check.
set -eu
cd "$(dirname "$0")"
for f in *.wat; do
	case $f in
	invalid.wat) flags=--no-check ;;
	threads.wat) flags=--enable-threads ;;
	exceptions.wat) flags=--enable-exceptions ;;
	tail-call.wat) flags=--enable-tail-call ;;
	memory64.wat) flags=--enable-memory64 ;;
	*) flags= ;;
	esac
	wat2wasm --debug-names $flags "$f" -o "${f%.wat}.wasm"
done
