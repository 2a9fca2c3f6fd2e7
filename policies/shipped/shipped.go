// Package shipped carries the WebAssembly policies that come with perfopt:
// their built modules, small and embedded, and their digests. A reference
// "shipped:NAME" means one of them.
//
// The sources are in policies/src; policies/src/build.sh rebuilds the modules,
// their digests and TOOLCHAINS, the versions that built them. [Names] lists what
// there is, [Module] returns one.
//
// This package must not know how a module is run or where it is seated. It
// imports the standard library only.
package shipped

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed *.wasm SHA256SUMS
var files embed.FS

// Names returns the names of all shipped modules, sorted.
func Names() []string {
	var names []string
	for name := range sums() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Module returns the bytes of a module and their SHA-256 in lower-case
// hexadecimal, as committed. The bytes belong to the caller.
func Module(name string) (wasm []byte, digest string, err error) {
	digest, ok := sums()[name]
	if !ok {
		return nil, "", fmt.Errorf("unknown shipped policy %q: there are %s", name, strings.Join(Names(), ", "))
	}
	wasm, err = files.ReadFile(name + ".wasm")
	return wasm, digest, err
}

// sums reads the file of digests: a digest, two spaces and a file's name a
// line.
func sums() map[string]string {
	text, err := files.ReadFile("SHA256SUMS")
	if err != nil {
		panic("shipped: the digests are not embedded: " + err.Error())
	}
	list := map[string]string{}
	for line := range strings.Lines(string(text)) {
		digest, file, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if name, ok := strings.CutSuffix(file, ".wasm"); ok {
			list[name] = digest
		}
	}
	return list
}
