// Package docs embeds the project's own documentation, so that the demo origin
// has something to serve where no Go installation is at hand.
//
// [Files] holds the Markdown files of this folder and its guides and
// decisions, under the paths they have here. The package must not know who
// serves them and holds no code.
package docs

import "embed"

// Files are the Markdown files of the documentation.
//
//go:embed *.md guides/*.md decisions/*.md
var Files embed.FS
