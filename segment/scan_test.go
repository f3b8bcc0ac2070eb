package segment_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshrelay/freshrelay/segment"
)

// checkAgainstJSON holds what the scanner says of any bytes against encoding/json: whether they are JSON, and if not,
// where they stop being it; how they are built; and what an array's elements are.
func checkAgainstJSON(t *testing.T, b []byte) {
	t.Helper()
	before := string(b)
	err := segment.Validate(b)
	want, malformed := errors.AsType[*json.SyntaxError](json.Unmarshal(b, new(json.RawMessage)))
	if !malformed {
		if err != nil {
			t.Fatalf("Validate(%q) = %v, and it is JSON", b, err)
		}
		if got, want := segment.Measure(b), shapeOf(b); got != want {
			t.Fatalf("Measure(%q) = %+v, want %+v", b, got, want)
		}
		checkElements(t, b)
	} else {
		var got *segment.SyntaxError
		if !errors.As(err, &got) {
			t.Fatalf("Validate(%q) = %v, want an error: %v", b, err, want)
		}
		if offset := max(want.Offset-1, 0); got.Offset != offset {
			t.Fatalf("Validate(%q): wrong at %d, want %d", b, got.Offset, offset)
		}
		if o, err := segment.ParseObject(b); err == nil {
			t.Fatalf("ParseObject(%q) = %s", b, o.Bytes())
		}
	}
	if string(b) != before {
		t.Fatalf("%q was changed to %q", before, b)
	}
}

// shapeOf measures JSON token by token.
func shapeOf(b []byte) segment.Shape {
	var s segment.Shape
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	type level struct {
		object bool
		tokens int
	}
	var open []level
	for {
		token, err := d.Token()
		if err != nil {
			return s
		}
		delim, _ := token.(json.Delim)
		if delim == '}' || delim == ']' {
			open = open[:len(open)-1]
			continue
		}
		if n := len(open); n > 0 {
			if open[n-1].object && open[n-1].tokens%2 == 0 {
				s.Keys++
			}
			open[n-1].tokens++
		}
		if delim != 0 {
			open = append(open, level{object: delim == '{'})
			s.Depth = max(s.Depth, len(open))
		}
	}
}

func checkElements(t *testing.T, b []byte) {
	t.Helper()
	if !segment.IsArray(b) {
		return
	}
	var want []json.RawMessage
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	n := 0
	for o, err := range segment.Calls(b) {
		if err != nil || n >= len(want) {
			t.Fatalf("element %d of %q: %v", n, b, err)
		}
		if got := string(o.Bytes()); got != string(want[n]) {
			t.Fatalf("element %d of %q = %q, want %q", n, b, got, want[n])
		}
		if got, want := o.Shape(), shapeOf(want[n]); got != want {
			t.Fatalf("element %d of %q: shape %+v, want %+v", n, b, got, want)
		}
		n++
	}
	if n != len(want) {
		t.Fatalf("%d elements of %q, want %d", n, b, len(want))
	}
}

// scanSeeds is text around every rule of the grammar.
func scanSeeds() []string {
	seeds := []string{
		``, ` `, "\x00", "\xef\xbb\xbf{}", `{}`, `[]`, "\t[ ]\r\n", `{ }`, `{"a":{}}`, `[[],{},[{}]]`, `{"":""}`, `[1,2`, `{"a"`, `{"a":`,
		`{"a":1`, `{"a":1,`, `{"a":1,}`, `[1,]`, `[,1]`, `[,]`, `{,}`, `{:1}`, `{"a"1}`, `{"a":}`, `{a:1}`, `{1:1}`, `[1 2]`, `[1:2]`,
		`{"a":1:2}`, `[}`, `{]`, `[1}`, `{"a":1]`, `]`, `}`, `[]]`, `{}}`, `{}x`, `{} {}`, `[] ,`, `,`, `:`, `"`, `"a`, `"a"b`, `"a" `,
		`""`, `"\`, `"\"`, `"\"\\\/\b\f\n\r\t"`, `"\x"`, `"\u"`, `"\u12"`, `"\u12g4"`, `"\u00e9\uD83D"`, `"\uFFFF"`, `"\U0000"`,
		"\"\x1f\"", "\"\x7f\"", "\"\xff\xfe\"", "\"é\u2028\"", "\"\n\"", "\"\x00\"", `t`, `tru`, `true`, `truE`, `trues`, `false`, `fals`,
		`null`, `nul`, `nuLl`, `nil`, `True`, `0`, `-0`, `-`, `--1`, `+1`, `01`, `-01`, `00`, `1.`, `.1`, `1.0`, `1.a`, `1.0.0`, `1e`, `1e+`,
		`1E-5`, `1e5.0`, `1e05`, `1ee5`, `0x10`, `1_000`, `Infinity`, `-Infinity`, `NaN`, `1 `, `12345678901234567890.5e-300`, `[-]`, `[1.]`,
		`{"a":[{"b":[{"c":[]}]}]}`, `[[[[[[`, `]]]]`, `{"a":{"a":{"a":`, `/**/{}`, `{} //`, `'a'`, "\u00a0{}", "\v[]", "\f[]", `{"a":1}{"a":1}`,
	}
	// Where eight bytes are looked at together, everything has to be found at every place.
	for at := range 18 {
		for _, special := range []string{`"`, `\"`, `\`, `\u00e9`, "\x1f", "\x00", " ", "!", "\x7f", "\x80", "\xa2", "\xdc", "\xff", "]", "#"} {
			seeds = append(seeds, `["`+strings.Repeat("x", at)+special+`yyyyyyyyyyyyyyyyy"]`, `["`+strings.Repeat("x", at)+special)
		}
	}
	for _, n := range []int{63, 64, 65, 66, 9_999, 10_000, 10_001} {
		seeds = append(seeds,
			strings.Repeat("[", n)+strings.Repeat("]", n),
			strings.Repeat(`{"a":`, n)+"1"+strings.Repeat("}", n),
			strings.Repeat(`[{"a":`, n/2)+"[]"+strings.Repeat("}]", n/2))
	}
	return seeds
}

func TestTheScannerTakesWhatJSONIs(t *testing.T) {
	t.Parallel()
	for _, seed := range scanSeeds() {
		checkAgainstJSON(t, []byte(seed))
	}
}

// TestTheScannerFindsTheSameInDamagedSamples cuts the samples short and changes their bytes.
func TestTheScannerFindsTheSameInDamagedSamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	random := rand.New(rand.NewPCG(1, 2)) // the same damage every time
	const odd = "{}[],:\"\\ \n\x00\x1f0123456789.eE+-truefalsn\x80\xff"
	for _, file := range files {
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		checkAgainstJSON(t, whole)
		for range 300 {
			b := []byte(string(whole))
			for range 1 + random.IntN(3) {
				b[random.IntN(len(b))] = odd[random.IntN(len(odd))]
			}
			checkAgainstJSON(t, b[:len(b)-random.IntN(2)*random.IntN(len(b))])
		}
	}
}

// FuzzScan looks for bytes about which the scanner and encoding/json disagree.
func FuzzScan(f *testing.F) {
	for _, seed := range scanSeeds() {
		if len(seed) < 1000 { // minimising longer ones would take all the time there is
			f.Add([]byte(seed))
		}
	}
	f.Fuzz(checkAgainstJSON)
}

func TestACallKeepsNoMoreMembersThanItMayHave(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range segment.MaxKeys + 500 {
		fmt.Fprintf(&b, `,"k%d":%d`, i, i)
	}
	object := []byte("{" + b.String()[1:] + "}")
	var call segment.Object
	if err := call.ParseCall(object); err != nil {
		t.Fatal(err)
	}
	if err := call.Shape().Check(); !errors.Is(err, segment.ErrTooManyKeys) {
		t.Errorf("shape = %+v, check: %v", call.Shape(), err)
	}
	if got := call.Get("k9999"); string(got) != "9999" {
		t.Errorf("the last member that may be = %s", got)
	}
	if got := call.Get("k10000"); got != nil {
		t.Errorf("one beyond the limit = %s", got)
	}
	whole, err := segment.ParseObject(object)
	if err != nil {
		t.Fatal(err)
	}
	if got := whole.Get("k10499"); string(got) != "10499" {
		t.Errorf("the last member of an object = %s", got)
	}
}

// TestCallsShareNothing makes sure that the members of one element are not still there in the next, whatever was done to
// it meanwhile.
func TestCallsShareNothing(t *testing.T) {
	t.Parallel()
	const in = `[{"a":1,"writeKey":"k","b":2}, 7, {"writeKey":"k"}, {}, {"c":3,"d":{"e":4}}]`
	var got []string
	for o, err := range segment.Calls([]byte(in)) {
		if err != nil {
			t.Fatal(err)
		}
		if o.Get("z") != nil {
			t.Errorf("%s has what was put into another", o.Bytes())
		}
		if segment.IsObject(o.Bytes()) {
			o.Cut("writeKey")
			o.Set("z", []byte(`"new"`))
		}
		got = append(got, string(o.Bytes()))
	}
	want := []string{`{"a":1,"b":2,"z":"new"}`, `7`, `{"z":"new"}`, `{"z":"new"}`, `{"c":3,"d":{"e":4},"z":"new"}`}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("calls = %q, want %q", got, want)
	}
	if in != `[{"a":1,"writeKey":"k","b":2}, 7, {"writeKey":"k"}, {}, {"c":3,"d":{"e":4}}]` {
		t.Error("the array was changed")
	}
}
