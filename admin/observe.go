package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/freshrelay/freshrelay/mapping"
)

// Forecaster says what would be done with the calls that wait for another mode. *worker.Pool is one.
type Forecaster interface {
	Forecast(ctx context.Context) (mapping.Forecast, error)
	ForecastUser(ctx context.Context, user string, read bool) (mapping.UserForecast, error)
}

// Forecast is the answer of /api/observe/report.
type Forecast struct {
	mapping.Forecast

	Delivery string `json:"delivery"` // the mode: in live nothing waits for another one
}

// UserForecast is the answer of /api/observe/user: what would be done for one user, with values masked unless they are asked for.
type UserForecast struct {
	mapping.UserForecast

	Masked   bool   `json:"masked"`
	Delivery string `json:"delivery"`
}

func (s *server) observeReport(w http.ResponseWriter, r *http.Request) error {
	if _, err := queryOf(r); err != nil {
		return err
	}
	if err := s.mayForesee(); err != nil {
		return err
	}
	f, err := s.Forecaster.Forecast(r.Context())
	if err != nil {
		return fmt.Errorf("foresee: %w", err)
	}
	return answer(w, http.StatusOK, Forecast{f, s.Sending().Mode})
}

func (s *server) observeUser(w http.ResponseWriter, r *http.Request) error {
	v, err := queryOf(r, "user_id", "read", "reveal")
	if err != nil {
		return err
	}
	if v["user_id"] == "" {
		return badRequest("user_id is missing", "say whose calls to look at")
	}
	if err := s.mayForesee(); err != nil {
		return err
	}
	f, err := s.Forecaster.ForecastUser(r.Context(), s.User(v["user_id"]), v["read"] == "true")
	if err != nil {
		return fmt.Errorf("foresee: %w", err)
	}
	reveal := v["reveal"] == "true"
	for i := range f.Fields {
		if !reveal {
			f.Fields[i].Before, f.Fields[i].After = maskShape(f.Fields[i].Before), maskShape(f.Fields[i].After)
		}
	}
	if reveal {
		if err := s.audit(r, "reveal", 1, "observe show"); err != nil {
			return err
		}
	}
	return answer(w, http.StatusOK, UserForecast{f, !reveal, s.Sending().Mode})
}

// maskShape masks a value that was read; one that was not stays away.
func maskShape(value json.RawMessage) json.RawMessage {
	if len(value) == 0 {
		return nil
	}
	return Mask(value)
}

// mayForesee says why this process cannot tell.
func (s *server) mayForesee() error {
	if s.Forecaster == nil {
		return &problem{http.StatusServiceUnavailable, ErrNoWorker.Error(), "ask a process that delivers: --admin-url"}
	}
	_, _, err := s.known()
	return err
}
