package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/perfopt/perfopt/hostabi"
	"github.com/perfopt/perfopt/internal/terminal"
)

const policyInspectUsage = `policy inspect FILE.wasm

Shows what a policy module says of itself and what it asks for: manifest, kinds,
settings, metrics, imports, exports, size and digest. It runs the module's start
in the sandbox and nothing else. Exit code 1 means that a daemon would refuse it.`

func policyInspectCommand(ctx context.Context, e *env, args []string) int {
	fs := e.flags().withJSON()
	rest, code, ok := fs.parse(args, 1, 1)
	if !ok {
		return code
	}
	m, refused, err := e.load(ctx, rest[0])
	if err != nil {
		if refused {
			return e.no(err)
		}
		return e.wrong(err)
	}
	defer m.close()
	if e.json {
		e.printJSON(struct {
			File     string           `json:"file"`
			Bytes    int              `json:"bytes"`
			Digest   string           `json:"sha256"`
			Manifest hostabi.Manifest `json:"manifest"`
			Imports  []string         `json:"imports"`
			Exports  []string         `json:"exports"`
		}{rest[0], m.Size(), m.Digest(), m.Manifest(), m.Imports(), m.Exports()})
		return exitOK
	}
	manifest := m.Manifest()
	t := terminal.Table{Unaligned: true}
	t.Row("policy", strings.TrimSpace(manifest.Name+" "+manifest.Version))
	t.Row("kinds", m.kindNames())
	t.Row("columns", dash(strings.Join(manifest.Features, ", ")))
	t.Row("max batch", fmt.Sprintf("%d rows", manifest.MaxBatch))
	if manifest.StateVersion != 0 {
		t.Row("state", fmt.Sprintf("version %d", manifest.StateVersion))
	} else {
		t.Row("state", "none")
	}
	t.Row("interface", fmt.Sprintf("%d, sdk %s", manifest.ABI, dash(manifest.SDK)))
	t.Row("size", fmt.Sprintf("%s (%s bytes)", terminal.Bytes(int64(m.Size())), terminal.Count(int64(m.Size()))))
	t.Row("sha256", m.Digest())
	if code := e.printTable(&t); code != exitOK {
		return code
	}
	if len(manifest.Config) > 0 {
		e.printf("\nsettings\n")
		t = terminal.Table{Indent: "  ", Unaligned: true}
		for _, key := range slices.Sorted(maps.Keys(manifest.Config)) {
			p := manifest.Config[key]
			t.Row(key, p.Type, fmt.Sprintf("%v", p.Default), bounds(p), p.Doc)
		}
		if code := e.printTable(&t); code != exitOK {
			return code
		}
	}
	if len(manifest.Metrics) > 0 {
		e.printf("\nmetrics\n")
		t = terminal.Table{Indent: "  "}
		for _, x := range manifest.Metrics {
			t.Row(x.Name, x.Type, x.Help)
		}
		if code := e.printTable(&t); code != exitOK {
			return code
		}
	}
	for _, list := range []struct {
		title string
		lines []string
	}{{"imports", m.Imports()}, {"exports", m.Exports()}} {
		e.printf("\n%s\n", list.title)
		for _, line := range list.lines {
			e.printf("  %s\n", line)
		}
	}
	return exitOK
}

// plain says a number without an exponent.
func plain(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// bounds says which values a setting may have.
func bounds(p hostabi.Param) string {
	switch {
	case len(p.Enum) > 0:
		var values []string
		for _, v := range p.Enum {
			values = append(values, fmt.Sprint(v))
		}
		return strings.Join(values, "|")
	case p.Min != nil && p.Max != nil:
		return plain(*p.Min) + ".." + plain(*p.Max)
	case p.Min != nil:
		return ">= " + plain(*p.Min)
	case p.Max != nil:
		return "<= " + plain(*p.Max)
	}
	return ""
}
