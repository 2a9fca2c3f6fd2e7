// Command gen writes the archives of the SDKs that the tool carries. It is run
// from the root of the repository as
//
//	go run ./sdk/scaffold/gen
//
// and writes sdk/scaffold/archives/LANGUAGE.txtar for each SDK: every file of
// sdk/LANGUAGE except Go's tests and their data, in the order of their paths. The same sources give the same
// bytes. It must not know what is in a file.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/perfopt/perfopt/sdk/scaffold"
)

func main() {
	for _, language := range scaffold.Languages() {
		data, err := archive(filepath.Join("sdk", language))
		if err == nil {
			err = os.WriteFile(filepath.Join("sdk", "scaffold", "archives", language+".txtar"), data, 0o644)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "gen: %s: %v\n", language, err)
			os.Exit(1)
		}
	}
}

// archive collects the files of an SDK.
func archive(dir string) ([]byte, error) {
	var a txtar.Archive
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path.Base(name) == "testdata":
			return fs.SkipDir
		case d.IsDir() || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		data, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		if txtar.NeedsQuote(data) || len(data) > 0 && data[len(data)-1] != '\n' {
			return fmt.Errorf("%s cannot stand in a text archive: it must end with a newline and have no line such as \"-- NAME --\"", name)
		}
		a.Files = append(a.Files, txtar.File{Name: name, Data: data})
		return nil
	})
	return txtar.Format(&a), err
}
