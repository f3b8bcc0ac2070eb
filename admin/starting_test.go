package admin

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

func TestBetweenTheListenerSaysWhatIsGoingOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		handler := NewBetween(Between{
			Version: "v1", Metrics: http.NotFoundHandler(), Logger: zap.NewNop(), Reason: "recovering the store", Since: time.Now(), Bytes: 7,
		})
		time.Sleep(90 * time.Second)
		for path, want := range map[string]int{
			"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable, "/api/status": http.StatusServiceUnavailable, "/x": http.StatusNotFound,
		} {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
			if w.Code != want {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
			if path != "/readyz" {
				continue
			}
			var got Readiness
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if got.Ready || got.Reason != "recovering the store" || got.Recovering == nil || *got.Recovering != (Recovery{Seconds: 90, Bytes: 7}) {
				t.Errorf("%s", w.Body)
			}
		}
	})
}
