package config

import (
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes, written as 500, 64KiB, 32MiB, 1GiB (powers of 1024) or 10kB, 10MB, 1GB (powers of 1000). What
// the loader reads is never negative.
type Size int64

// Units of Size.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

var sizeUnits = map[string]Size{
	"": 1, "B": 1, "KiB": KiB, "MiB": MiB, "GiB": GiB, "TiB": 1 << 40,
	"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
}

// UnmarshalText reads what the type's comment describes.
func (s *Size) UnmarshalText(text []byte) error {
	digits := strings.TrimRight(string(text), "BKMGTik")
	unit, ok := sizeUnits[strings.TrimPrefix(string(text), digits)]
	n, err := strconv.ParseUint(digits, 10, 63)
	if !ok || err != nil || n > uint64(math.MaxInt64/unit) {
		return wanted("a size such as 500, 64KiB, 32MiB or 1GiB (also kB, MB, GB)")
	}
	*s = Size(n) * unit
	return nil
}

// String writes the size in the largest of B, KiB, MiB and GiB that divides it.
func (s Size) String() string {
	switch {
	case s == 0 || s%KiB != 0:
		return strconv.FormatInt(int64(s), 10) + "B"
	case s%MiB != 0:
		return strconv.FormatInt(int64(s/KiB), 10) + "KiB"
	case s%GiB != 0:
		return strconv.FormatInt(int64(s/MiB), 10) + "MiB"
	default:
		return strconv.FormatInt(int64(s/GiB), 10) + "GiB"
	}
}
