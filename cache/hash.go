package cache

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"reflect"
	"unsafe"

	"github.com/perfopt/perfopt/policies"
)

// How a cache hashes its keys.
const (
	hashCustom = iota // Options.KeyHash, spread over all bits for the index
	hashString        // keys whose kind is string
	hashWord          // keys of 8 bytes without padding or pointers
	hashAny           // any other type
)

// Odd constants with as many ones as zeros, from wyhash (Wang Yi, 2019).
const (
	mixA = 0xA076_1D64_78BD_642F
	mixB = 0xE703_7ED1_A0B4_28DB
	mixC = 0x8EBC_6AF0_9C88_C6E3
)

// hasher turns keys into salted hashes. The hash of strings and integers
// depends on the salt alone, so a policy's knowledge of hashes outlives the
// process; for other key types it holds for one process.
type hasher[K comparable] struct {
	kind   int
	salt   uint64
	custom func(K) policies.KeyHash
	seed   maphash.Seed
}

func newHasher[K comparable](salt uint64, custom func(K) policies.KeyHash) hasher[K] {
	h := hasher[K]{salt: salt ^ mixA, custom: custom, seed: maphash.MakeSeed()}
	switch k := reflect.TypeFor[K]().Kind(); {
	case custom != nil:
		h.kind = hashCustom
	case k == reflect.String:
		h.kind = hashString
	case k == reflect.Int, k == reflect.Int64, k == reflect.Uint, k == reflect.Uint64, k == reflect.Uintptr:
		h.kind = hashWord
		if unsafe.Sizeof(*new(K)) != 8 {
			h.kind = hashAny
		}
	default:
		h.kind = hashAny
	}
	return h
}

// index returns the hash by which the index finds a key.
func (h *hasher[K]) index(key K) uint64 {
	switch h.kind {
	case hashString:
		return hashOf(*(*string)(unsafe.Pointer(&key)), h.salt)
	case hashWord:
		return mix(*(*uint64)(unsafe.Pointer(&key))^mixB, h.salt^mixC)
	}
	return h.slow(key)
}

func (h *hasher[K]) slow(key K) uint64 {
	if h.kind == hashCustom {
		return h.spread(h.custom(key))
	}
	return maphash.Comparable(h.seed, key) ^ h.salt
}

// spread turns the hash that policies see into that of the index.
func (h *hasher[K]) spread(k policies.KeyHash) uint64 {
	if h.kind != hashCustom {
		return uint64(k)
	}
	return mix(uint64(k)^mixB, mixC)
}

// public returns the hash that policies see, given that of the index.
func (h *hasher[K]) public(key K, index uint64) policies.KeyHash {
	if h.kind == hashCustom {
		return h.custom(key)
	}
	return policies.KeyHash(index)
}

// mix folds the 128-bit product of two words.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// hashOf is wyhash's scheme over 16 bytes a step, seeded by the salt.
func hashOf(s string, seed uint64) uint64 {
	p := unsafe.Slice(unsafe.StringData(s), len(s))
	n := len(p)
	var a, b uint64
	switch {
	case n > 16:
		for len(p) > 16 {
			seed = mix(binary.LittleEndian.Uint64(p)^mixB, binary.LittleEndian.Uint64(p[8:])^seed)
			p = p[16:]
		}
		tail := unsafe.Slice(unsafe.StringData(s), n)[n-16:]
		a, b = binary.LittleEndian.Uint64(tail), binary.LittleEndian.Uint64(tail[8:])
	case n >= 8:
		a, b = binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[n-8:])
	case n >= 4:
		a, b = uint64(binary.LittleEndian.Uint32(p)), uint64(binary.LittleEndian.Uint32(p[n-4:]))
	case n > 0:
		a = uint64(p[0])<<16 | uint64(p[n>>1])<<8 | uint64(p[n-1])
	}
	hi, lo := bits.Mul64(a^mixB, b^seed)
	return mix(hi^mixA^uint64(n), lo^mixC)
}
