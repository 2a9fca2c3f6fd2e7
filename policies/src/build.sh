#!/bin/sh
# Rebuilds every module of policies/shipped, their digests, and the list of the
# toolchains that built them. A script in each language's folder says how and
# with what; the same versions give the same bytes.
set -eu
cd "$(dirname "$0")"
(cd c && sh build.sh)
cd ../shipped
{
	echo "# The toolchains that built the modules of this folder; policies/src/build.sh writes this."
	clang --version | head -1
	wasm-ld --version | head -1
} >TOOLCHAINS
sha256sum -- *.wasm >SHA256SUMS
