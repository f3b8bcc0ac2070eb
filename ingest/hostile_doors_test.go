package ingest_test

import (
	"encoding/base64"
	"net/http"
	"runtime"
	"strconv"
	"strings"

	"github.com/freshrelay/freshrelay/ingest"
)

func itoa(n int) string { return strconv.Itoa(n) }

func length(n int64) option { return func(r *http.Request) { r.ContentLength = n } }

func authorization(s string) option { return header("Authorization", s) }

// allocated is how many bytes f takes from the heap, all goroutines counted.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func hostilePaths() []hostile {
	at := func(path string, options ...option) *http.Request {
		return request("/", `{"userId":"`+marker+`"}`, append([]option{basic(key), func(r *http.Request) { r.URL.Path = path }}, options...)...)
	}
	return []hostile{
		{"root", at("/"), notFound},
		{"empty path", at(""), notFound},
		{"version alone", at("/v1"), notFound},
		{"version and slash", at("/v1/"), notFound},
		{"two slashes before", at("//v1/identify"), notFound},
		{"two slashes between", at("/v1//identify"), notFound},
		{"two slashes behind", at("/v1/identify//"), notFound},
		{"dots", at("/v1/../v1/identify"), notFound},
		{"capitals", at("/v1/IDENTIFY"), notFound},
		{"capital version", at("/V1/identify"), notFound},
		{"two versions", at("/v1/v1/identify"), notFound},
		{"later version", at("/v2/identify"), notFound},
		{"unknown call", at("/v1/" + marker), notFound},
		{"delete has no path", at("/v1/delete"), notFound},
		{"d has no path", at("/v1/d"), notFound},
		{"zero byte", at("/v1/identify\x00"), notFound},
		{"new line", at("/v1/identify\n" + marker), notFound},
		{"a blank behind", at("/v1/identify "), notFound},
		{"bytes that are no text", at("/v1/\xff\xfe"), notFound},
		{"half a megabyte of path", at("/v1/" + strings.Repeat(marker, 40_000)), notFound},
		{"half a megabyte of slashes", at(strings.Repeat("/", 500_000)), notFound},
		{"the snippet", at("/analytics.js/v1/" + key + "/analytics.min.js"), notFound},
		{"other people's probes", at("/wp-login.php"), notFound},
		{"the admin's metrics", at("/metrics", method("GET")), notFound},
		{"webhook of nobody", at("/webhook"), notFound},
		{"webhook of nobody, slash", at("/webhook/"), notFound},
		{"webhook of a stranger", at("/webhook/" + marker), notFound},
		{"webhook in capitals", at("/webhook/WEBSITE"), notFound},
		{"webhook with more", at("/webhook/website/" + marker), notFound},
		{"webhook two slashes", at("/webhook/website//"), notFound},
		{"webhook climbing", at("/webhook/website/../signed"), notFound},
		{"webhook below version", at("/v1/webhook/website"), notFound},
		{"read", at("/v1/identify", method("GET")), wrongMethod},
		{"put", at("/v1/batch", method("PUT")), wrongMethod},
		{"patch", at("/v1/b", method("PATCH")), wrongMethod},
		{"remove", at("/v1/track", method("DELETE")), wrongMethod},
		{"trace", at("/v1/identify", method("TRACE")), wrongMethod},
		{"tunnel", at("/v1/identify", method("CONNECT")), wrongMethod},
		{"small letters", at("/v1/identify", method("post")), wrongMethod},
		{"invented method", at("/v1/identify", method(strings.Repeat("X", 10_000))), wrongMethod},
		{"read without version", at("/batch", method("GET")), wrongMethod},
		{"read of metrics", at("/v1/m", method("GET")), wrongMethod},
		{"webhook read", at("/webhook/website", method("GET")), wrongMethod},
		{"webhook asked", at("/webhook/website", method("OPTIONS")), wrongMethod},
		{"webhook removed", at("/webhook/website", method("DELETE")), wrongMethod},
		{"query is not a body", at("/v1/identify", func(r *http.Request) { r.URL.RawQuery = "userId=" + marker }), harmless(1)},
		{"another method by header", at("/v1/identify", header("X-HTTP-Method-Override", "DELETE")), harmless(1)},
		{"settings of a stranger", at("/v1/projects/"+marker+"/settings", method("GET")), wrongKey},
		{"settings, endless key", at("/v1/projects/"+strings.Repeat("k", 500_000)+"/settings", method("GET")), wrongKey},
		{"settings written", at("/v1/projects/" + key + "/settings"), wrongMethod},
		{"settings for a host with a line", at("/v1/projects/"+key+"/settings", method("GET"), host("a\r\nb")), refused(400, "bad_host", "invalid")},
		{"settings for an endless host", at("/v1/projects/"+key+"/settings", method("GET"), host(strings.Repeat("a", 300))), refused(400, "bad_host", "invalid")},
	}
}

func hostileKeys() []hostile {
	plain := func(body string, options ...option) *http.Request { return request("/v1/identify", body, options...) }
	encode := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	return []hostile{
		{"no key", plain(`{}`), noKey},
		{"unknown key", plain(`{}`, basic(marker)), wrongKey},
		{"key and a blank", plain(`{}`, basic(key+" ")), wrongKey},
		{"key in capitals", plain(`{}`, basic(strings.ToUpper(key))), wrongKey},
		{"key and a zero byte", plain(`{}`, authorization(encode(key+"\x00:"))), wrongKey},
		{"key as the password", plain(`{}`, authorization(encode(":"+key))), noKey},
		{"key not encoded", plain(`{}`, authorization("Basic "+key+":")), badBasic},
		{"base64 of URLs", plain(`{}`, authorization("Basic _-_-")), badBasic},
		{"basic with nothing", plain(`{}`, authorization("Basic")), noKey},
		{"basic with blanks", plain(`{}`, authorization("Basic    ")), noKey},
		{"basic with a colon", plain(`{}`, authorization(encode(":"))), noKey},
		{"endless key", plain(`{}`, authorization(encode(strings.Repeat("k", 1<<20)))), wrongKey},
		{"digest", plain(`{}`, authorization(`Digest username="`+key+`"`)), noKey},
		{"scheme without a blank", plain(`{}`, authorization("Basic"+key)), noKey},
		{"two headers, the first counts", plain(`{}`, basic(marker), func(r *http.Request) { r.Header.Add("Authorization", encode(key+":")) }), wrongKey},
		{"good in the body, bad in the header", plain(`{"writeKey":"`+key+`"}`, basic(marker)), wrongKey},
		{"good in the query", request("/v1/identify?writeKey="+key, `{}`), noKey},
		{"good in a cookie", plain(`{}`, header("Cookie", "writeKey="+key)), noKey},
		{"a name, not a key", plain(`{}`, basic("website")), wrongKey},
		{"a webhook's secret", plain(`{}`, basic(secret)), wrongKey},
		{"body: null", plain(`{"writeKey":null}`), noKey},
		{"body: list", plain(`{"writeKey":["` + key + `"]}`), noKey},
		{"body: object", plain(`{"writeKey":{"$ne":""}}`), noKey},
		{"body: number", plain(`{"writeKey":1}`), wrongKey},
		{"body: true", plain(`{"writeKey":true}`), noKey},
		{"body: other case", plain(`{"WRITEKEY":"` + key + `"}`), noKey},
		{"body: nested", plain(`{"context":{"writeKey":"` + key + `"}}`), noKey},
		{"body: bad one last", plain(`{"writeKey":"` + key + `","writeKey":"` + marker + `"}`), wrongKey},
		{"body: half a surrogate", plain(`{"writeKey":"\ud800"}`), wrongKey},
		{"batch: key in the second event", request("/v1/batch", `{"batch":[{"type":"identify"},{"type":"identify","writeKey":"`+key+`"}]}`), noKey},
		{"batch: holes only", request("/v1/batch", `{"batch":[null,1,"x",[]]}`), noKey},
		{"webhook: no key", request("/webhook/website", `{}`), noKey},
		{"webhook: key in the body", request("/webhook/website", `{"writeKey":"`+key+`"}`), noKey},
		{"webhook: another source's key", request("/webhook/website", `{}`, basic("wk_signed")), wrongKey},
		{"webhook: bearer of a stranger", request("/webhook/website", `{}`, authorization("Bearer "+marker)), wrongKey},
		{"webhook: signature instead", request("/webhook/website", `{}`, sign(secret, `{}`)), noKey},
	}
}

func hostileSignatures() []hostile {
	const one = `{"type":"identify","userId":"u-1"}`
	right := signedHook(one, one).Header.Get("X-Signature")
	with := func(signature string) *http.Request {
		return request("/webhook/signed", one, header("X-Signature", signature))
	}
	return []hostile{
		{"not signed", request("/webhook/signed", one), noSignature},
		{"key instead of a signature", request("/webhook/signed", one, basic("wk_signed")), noSignature},
		{"signature: blank", with("  "), badSignature},
		{"signature: no hex", with(marker), badSignature},
		{"signature: odd", with(right[:39]), badSignature},
		{"signature: cut", with(right[:38]), badSignature},
		{"signature: longer", with(right + "00"), badSignature},
		{"signature: zeros", with(strings.Repeat("0", 40)), badSignature},
		{"signature: base64", with("6k18ikVbsdMEnGrrxj9dR4+81c4="), badSignature},
		{"signature: with its name", with("sha1=" + right), badSignature},
		{"signature: endless", with(strings.Repeat("ab", 500_000)), badSignature},
		{"signature: twice in one", with(right + "," + right), badSignature},
		{"signature: bad one first", request("/webhook/signed", one, header("X-Signature", "00"),
			func(r *http.Request) { r.Header.Add("X-Signature", right) }), badSignature},
		{"signature: of another body", signedHook(one, one+" "), badSignature},
		{"signature: of nothing", signedHook(one, ""), badSignature},
		{"signature: empty body", signedHook("", ""), malformed},
		{"signature: blank body", signedHook(" ", " "), malformed},
		{"signature: empty array", signedHook("[]", ""), badSignature},
		{"signature: array of nothing", signedHook("[ ]", " "), badSignature},
		{"signature: array never closed", signedHook("["+one, one), malformed},
		{"signature: array of a cut event", signedHook("["+one[:20], one[:20]), badSignature},
		{"signature: whole array", signedHook("["+one+"]", "["+one+"]"), badSignature},
		{"signature: second event", signedHook("[{},"+one+"]", one), badSignature},
		{"signature: zipped bytes", signedHook(one, "x", header("Content-Encoding", "gzip")), badGzip},
		{"signature: smuggled delete", signedHook("["+one+`,{"type":"delete","userId":"u-2"}]`, one), droppedAs(1, "delete", ingest.DropUnsigned).and(1)},
		{"signature: smuggled alias", signedHook("["+one+`,{"type":"ALIAS","userId":"u-2","previousId":"u-1"}]`, one), droppedAs(1, "alias", ingest.DropUnsigned).and(1)},
		{"signature: alias in a wrapper", signedHook("["+one+`,{"json":{"type":"alias"}}]`, one), droppedAs(1, "alias", ingest.DropUnsigned).and(1)},
		{"signature: type twice", signedHook("["+one+`,{"type":"identify","type":"delete"}]`, one), droppedAs(1, "delete", ingest.DropUnsigned).and(1)},
		{"signature: type escaped", signedHook("["+one+`,{"t\u0079pe":"d\u0065lete"}]`, one), droppedAs(1, "delete", ingest.DropUnsigned).and(1)},
		{"token guessed", request("/webhook/strict/"+marker, one, sign(secret, one)), refused(401, "bad_batch_token", "unauthorized")},
		{"token missing", request("/webhook/strict", "["+one+","+one+"]", sign(secret, one)), refused(401, "missing_batch_token", "unauthorized")},
	}
}
