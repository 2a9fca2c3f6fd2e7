//go:build wasip1

package policy

import "unsafe"

// The exports and imports of a module. They stand here and not in the author's
// package: an imported package's exports count as the module's.

//go:wasmexport pf_abi_1
func pfABI1() {}

//go:wasmexport pf_manifest
func pfManifest() int64 {
	if served == nil {
		return 0
	}
	text := served.text
	return int64(uintptr(unsafe.Pointer(&text[0])))<<32 | int64(len(text))
}

//go:wasmexport pf_arena
func pfArena(n int32) int32 {
	arena := served.handArena(n)
	if arena == nil {
		return 0
	}
	return int32(uintptr(unsafe.Pointer(&arena[0])))
}

//go:wasmexport pf_init
func pfInit() int32 { return served.start() }

//go:wasmexport pf_ttl
func pfTTL(n int32) int32 { return served.decideTTL(n) }

//go:wasmexport pf_score
func pfScore(n int32) int32 { return served.score(n) }

//go:wasmexport pf_events
func pfEvents(n int32) int32 { return served.observe(n) }

//go:wasmexport pf_evict
func pfEvict(want int32) int32 { return served.evict(want) }

//go:wasmexport pf_prefetch
func pfPrefetch(n int32) int32 { return served.propose(n) }

//go:wasmexport pf_scale
func pfScale() int32 { return served.scale() }

//go:wasmexport pf_export_state
func pfExportState(limit int32) int32 { return served.exportState(limit) }

//go:wasmexport pf_import_state
func pfImportState(n, version int32) int32 { return served.importState(n, uint32(version)) }

//go:wasmimport perfopt_v1 log
func importLog(level int32, text unsafe.Pointer, n int32)

//go:wasmimport perfopt_v1 metric
func importMetric(id int32, v float64)

func hostLog(level Level, line string) {
	importLog(int32(level), unsafe.Pointer(unsafe.StringData(line)), int32(len(line)))
}

func hostMetric(id int32, v float64) { importMetric(id, v) }
