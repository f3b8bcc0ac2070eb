package segment_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/segment"
)

func TestMembers(t *testing.T) {
	t.Parallel()
	type pair struct{ Key, Raw string }
	tests := map[string]struct {
		in   string
		want []pair
	}{
		"empty":            {`{}`, nil},
		"spaces":           {" \n{ \t} ", nil},
		"bytes are kept":   {`{"n":4.80017e5,"big":12345678901234567890,"f":1.0}`, []pair{{"n", "4.80017e5"}, {"big", "12345678901234567890"}, {"f", "1.0"}}},
		"inner whitespace": {"{ \"a\" : { \"b\" : [ 1 , 2 ] } , \"c\":null }", []pair{{"a", `{ "b" : [ 1 , 2 ] }`}, {"c", "null"}}},
		"repeated keys":    {`{"a":1,"a":2}`, []pair{{"a", "1"}, {"a", "2"}}},
		"escaped key":      {`{"write\u004bey":"x"}`, []pair{{"writeKey", `"x"`}}},
		"brackets in text": {`{"a":"}],\"{","b":["]"]}`, []pair{{"a", `"}],\"{"`}, {"b", `["]"]`}}},
		"proto is data":    {`{"__proto__":{"a":1}}`, []pair{{"__proto__", `{"a":1}`}}},
		"empty key":        {`{"":true}`, []pair{{"", "true"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			members, err := segment.Members([]byte(tt.in))
			if err != nil {
				t.Fatalf("Members: %v", err)
			}
			var got []pair
			for _, m := range members {
				got = append(got, pair{m.Key, string(m.Raw)})
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("members (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMembersRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		``, `[]`, `null`, `"a"`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,}`, `{"a" 1}`, `{a:1}`,
		`{"a":1}x`, `{"a":1 2}`, `{"a":"b}`, `{"a":[1}`, `{"a":1}{"b":2}`, `{"\x":1}`,
	} {
		if members, err := segment.Members([]byte(in)); err == nil {
			t.Errorf("Members(%q) = %v, want an error", in, members)
		}
	}
	var syntax *segment.SyntaxError
	if _, err := segment.Members([]byte(`{"a":1,}`)); !errors.As(err, &syntax) || syntax.Offset != 7 {
		t.Errorf("error = %v, want a SyntaxError at 7", err)
	}
	if _, err := segment.Members([]byte(`[1]`)); !errors.Is(err, segment.ErrNotObject) {
		t.Errorf("error = %v, want ErrNotObject", err)
	}
}

func TestOnly(t *testing.T) {
	t.Parallel()
	tests := map[string]string{ // "" = no
		`{"json":{"a":1.0}}`:      `{"a":1.0}`,
		` { "json" : [1, "}"] } `: `[1, "}"]`,
		`{"json":null}`:           `null`,
		`{}`:                      "",
		`{"json":1,"json":2}`:     "",
		`{"json":1,"a":2}`:        "",
		`{"a":2,"json":1}`:        "",
		`{"jsom":1}`:              "",
		`{"js\u006fn":1}`:         "",
		`{"json"}`:                "",
		`{"json":}`:               "",
		`{"json":1`:               "",
		`{"json":1}x`:             "",
		`["json"]`:                "",
		`"json"`:                  "",
		`{"json`:                  "",
		``:                        "",
	}
	for in, want := range tests {
		got, ok := segment.Only([]byte(in), "json")
		if string(got) != want || ok != (want != "") {
			t.Errorf("Only(%s) = %s, %v", in, got, ok)
		}
	}
}

func TestElements(t *testing.T) {
	t.Parallel()
	var got []string
	for raw, err := range segment.Elements([]byte(" [ {\"10\":1,\"2\":[]} , null,\"a,b\",3.0 ]\n")) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(raw))
	}
	if diff := cmp.Diff([]string{`{"10":1,"2":[]}`, `null`, `"a,b"`, `3.0`}, got); diff != "" {
		t.Errorf("elements (-want +got):\n%s", diff)
	}
	for _, in := range []string{``, `{}`, `[`, `[1`, `[1,`, `[,]`, `[1,]`, `[1]2`} {
		failed := false
		for _, err := range segment.Elements([]byte(in)) {
			failed = failed || err != nil
		}
		if !failed {
			t.Errorf("Elements(%q) gave no error", in)
		}
	}
}

func TestValuesCannotReachTheirNeighbours(t *testing.T) {
	t.Parallel()
	obj := []byte(`{"a":{},"b":2}`)
	members, err := segment.Members(obj)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(members[0].Raw, "!!"...)
	if got := string(obj); got != `{"a":{},"b":2}` {
		t.Errorf("object = %s after appending to a member's value", got)
	}
}

func TestObject(t *testing.T) {
	t.Parallel()
	const in = ` {"a":1.0, "writeKey":"k1" ,"type":"track","b":{"writeKey":"stays"},"writeKey":"k2","type":"page"} `
	o, err := segment.ParseObject([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(o.Bytes()); got != strings.TrimSpace(in) {
		t.Errorf("unchanged object = %s", got)
	}
	if got := string(o.Get("writeKey")); got != `"k2"` {
		t.Errorf("Get of a repeated key = %s, want the last value", got)
	}
	if got := o.Get("nothing"); got != nil {
		t.Errorf("Get of a missing key = %q, want nil", got)
	}
	o.Cut("nothing")
	if got := string(o.Bytes()); got != strings.TrimSpace(in) {
		t.Errorf("object after cutting nothing = %s", got)
	}
	o.Cut("writeKey")
	o.Set("type", []byte(`"identify"`))
	o.Set("a \"new\" key", []byte(`[1]`))
	const want = `{"a":1.0,"type":"identify","b":{"writeKey":"stays"},"a \"new\" key":[1]}`
	if got := string(o.Bytes()); got != want {
		t.Errorf("object =\n%s, want\n%s", got, want)
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		base, item string
		deep       bool
		want       string
	}{
		"item missing":          {`{"a":1}`, ``, true, `{"a":1}`},
		"item null":             {`{"a":1}`, `null`, true, `{"a":1}`},
		"base missing":          {``, `{"a":1e0}`, true, `{"a":1e0}`},
		"base no object":        {`"x"`, `{"a":1}`, true, `{"a":1}`},
		"item no object":        {`{"a":1}`, `7`, true, `7`},
		"item wins":             {`{"a":1,"b":2}`, `{"b":3.0}`, true, `{"b":3.0,"a":1}`},
		"deep":                  {`{"l":{"n":"go","v":"3"}}`, `{"l":{"v":"4"}}`, true, `{"l":{"v":"4","n":"go"}}`},
		"shallow":               {`{"l":{"n":"go","v":"3"}}`, `{"l":{"v":"4"}}`, false, `{"l":{"v":"4"}}`},
		"nested null is said":   {`{"l":{"n":"go"}}`, `{"l":null}`, true, `{"l":null}`},
		"repeated keys, last":   {`{"a":{"x":1},"a":{"y":2}}`, `{"b":1,"b":2}`, true, `{"b":2,"a":{"y":2}}`},
		"numbers keep lexemes":  {`{"a":1.50}`, `{"b":9007199254740993}`, true, `{"b":9007199254740993,"a":1.50}`},
		"nested array replaced": {`{"a":[1,2]}`, `{"a":[3]}`, true, `{"a":[3]}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := segment.Merge([]byte(tt.base), []byte(tt.item), tt.deep)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("Merge = %s, want %s", got, tt.want)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, in := range []string{`{}`, " [1]\n", `null`, `"\ud800"`, "\"\xff\""} {
		if err := segment.Validate([]byte(in)); err != nil {
			t.Errorf("Validate(%q) = %v", in, err)
		}
	}
	tests := map[string]int64{
		``: 0, `{`: 0, `{"batch":[,]}`: 10, `{"a":tru}`: 8, `{} {}`: 3, "{\"a\":\"\n\"}": 6, "\xef\xbb\xbf{}": 0,
		strings.Repeat("[", 20_000): 10_000,
	}
	for in, offset := range tests {
		err := segment.Validate([]byte(in))
		var syntax *segment.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("Validate(%.20q) = %v, want a SyntaxError", in, err)
			continue
		}
		if syntax.Offset != offset {
			t.Errorf("Validate(%.20q): offset = %d, want %d", in, syntax.Offset, offset)
		}
	}
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	tests := map[string]segment.Shape{
		`1`:                             {},
		`{}`:                            {Depth: 1},
		`{"a:{":"}:{","b":[{"c":{}}]}`:  {Depth: 4, Keys: 3},
		`[[],[],[[]]]`:                  {Depth: 3},
		`{"a":{"b":1},"c":{"d":"\":"}}`: {Depth: 2, Keys: 4},
	}
	for in, want := range tests {
		if got := segment.Measure([]byte(in)); got != want {
			t.Errorf("Measure(%s) = %+v, want %+v", in, got, want)
		}
	}
	nested := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	if err := segment.Measure(nested(segment.MaxDepth)).Check(); err != nil {
		t.Errorf("at the limit of depth: %v", err)
	}
	if err := segment.Measure(nested(segment.MaxDepth + 1)).Check(); !errors.Is(err, segment.ErrTooDeep) {
		t.Errorf("beyond the limit of depth: %v", err)
	}
	keys := func(n int) []byte { return []byte(`{"k":0` + strings.Repeat(`,"k":0`, n-1) + `}`) }
	if err := segment.Measure(keys(segment.MaxKeys)).Check(); err != nil {
		t.Errorf("at the limit of keys: %v", err)
	}
	if err := segment.Measure(keys(segment.MaxKeys + 1)).Check(); !errors.Is(err, segment.ErrTooManyKeys) {
		t.Errorf("beyond the limit of keys: %v", err)
	}
}

// FuzzMembers checks the splitter against encoding/json: for every valid object, the members joined again mean the
// same, and each value is valid by itself.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1,"a":2}`, ` {"a" : {"b":["}"]} , "c":null}`, `{"\u0061\"":1.0e5}`, `{"a":"\\"}`, `[1,2]`, `{"a":1,}`,
		"{\"\xff\":\"\xff\"}", `{"a":[{]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		members, err := segment.Members(b)
		segment.Measure(b)
		for _, err := range segment.Elements(b) {
			if err == nil {
				continue
			}
		}
		if segment.Validate(b) != nil {
			return
		}
		if !segment.IsObject(b) {
			if err == nil {
				t.Fatalf("Members took %q for an object", b)
			}
			return
		}
		if err != nil {
			t.Fatalf("Members of a valid object: %v", err)
		}
		for _, m := range members {
			if !json.Valid(m.Raw) {
				t.Fatalf("value %q is not valid", m.Raw)
			}
		}
		if diff := cmp.Diff(decode(t, b), decode(t, segment.Join(members))); diff != "" {
			t.Fatalf("joined object differs:\n%s", diff)
		}
		merged, err := segment.Merge(b, b, true)
		if err != nil {
			t.Fatalf("Merge of an object with itself: %v", err)
		}
		if diff := cmp.Diff(decode(t, b), decode(t, merged)); diff != "" {
			t.Fatalf("merged with itself it differs:\n%s", diff)
		}
	})
}

func decode(t *testing.T, b []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("decoding %q: %v", b, err)
	}
	return v
}
