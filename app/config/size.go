package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes that reads and writes itself with a unit ("10GiB").
type Size int64

var errSize = errors.New("not a size")

type unit struct {
	name  string
	bytes float64
}

// sizeUnits: binary units come first, because String prefers them. The bare letters mean the binary ones, as disk
// tools have it.
func sizeUnits() []unit {
	return []unit{
		{"TiB", 1 << 40},
		{"GiB", 1 << 30},
		{"MiB", 1 << 20},
		{"KiB", 1 << 10},
		{"TB", 1e12},
		{"GB", 1e9},
		{"MB", 1e6},
		{"kB", 1e3},
		{"KB", 1e3},
		{"T", 1 << 40},
		{"G", 1 << 30},
		{"M", 1 << 20},
		{"K", 1 << 10},
		{"B", 1},
	}
}

// ParseSize reads "10GiB", "500 MB", "1.5g" or a plain number of bytes. It does not read negative sizes.
func ParseSize(s string) (Size, error) {
	number, factor := strings.TrimSpace(s), 1.0
	for _, u := range sizeUnits() {
		if len(number) > len(u.name) && strings.EqualFold(number[len(number)-len(u.name):], u.name) {
			number, factor = strings.TrimSpace(number[:len(number)-len(u.name)]), u.bytes
			break
		}
	}
	if strings.Trim(number, "0123456789.") != "" { // ParseFloat would also take 1e9, 0x10, inf and nan
		return 0, errSize
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n*factor >= math.MaxInt64 {
		return 0, errSize
	}
	return Size(math.Round(n * factor)), nil
}

// String returns the size in the largest binary unit that shows it without a remainder.
func (s Size) String() string {
	for _, u := range sizeUnits()[:4] {
		if b := Size(u.bytes); s != 0 && s%b == 0 {
			return strconv.FormatInt(int64(s/b), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText implements encoding.TextMarshaler.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
