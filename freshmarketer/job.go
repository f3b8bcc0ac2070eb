package freshmarketer

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
)

// JobState is how far a bulk job is.
type JobState string

// The states of a job. Source: seen in client code; QUEUED and IN_PROGRESS by inference. That everything else is a
// failure is the cautious reading, as no other final word is known.
const (
	JobQueued  JobState = "queued"
	JobRunning JobState = "running"
	JobDone    JobState = "done"   // each row has succeeded or failed
	JobFailed  JobState = "failed" // the job ended in another way: what became of its rows is not known
)

// JobStatus is what is known of a bulk job.
type JobStatus struct {
	State     JobState
	Rows      int // that were asked about
	Succeeded int // rows, as far as they are counted
	Failed    int // rows; not all of them need to be among Failures
	Failures  []JobFailure
}

// JobFailure is one row that the API did not take.
type JobFailure struct {
	Row   int    // index into the rows that JobStatus was given, -1 if the report does not tell which one it was
	Kind  Kind   // KindConflict, KindThrottled or KindInvalid
	Field string // as Error.Field
	Text  string // redacted; "" if Row is -1, because what to redact is then not known
}

// Certain says that it is known of every row what became of it: the job is done, all rows are counted, and each one that
// failed is among Failures with its index. If not, a row that is not among Failures has not succeeded for sure.
func (s JobStatus) Certain() bool {
	told := map[int]bool{}
	for _, failure := range s.Failures {
		if failure.Row >= 0 {
			told[failure.Row] = true
		}
	}
	return s.State == JobDone && len(told) == len(s.Failures) && len(told) == s.Failed && s.Succeeded+s.Failed == s.Rows
}

// JobStatus asks for a bulk job. The rows are those of its BulkUpsert; they are only needed to tell which of them
// failed, and may be nil. KindGone if there is no such job (any more).
//
// Source: Freshworks CRM API, "View job status"; that data is JSON inside a string is seen in client code. The shape of
// the failure report is not documented, so a row is recognised by its identifier's value, wherever an entry has it.
func (c *Client) JobStatus(ctx context.Context, id string, rows []BulkRow) (JobStatus, error) {
	if !isID(id) {
		return JobStatus{}, refuse(OpJobStatus, "the job id is not a number")
	}
	var job jobAnswer
	cl := call{op: OpJobStatus, method: http.MethodGet, path: "/job_statuses/" + id}
	for _, row := range rows {
		cl.sent.add(row.Value)
	}
	if err := c.do(ctx, cl, decodeInto(&job, func() bool { return job.Status != "" })); err != nil {
		return JobStatus{}, err
	}
	status := JobStatus{State: stateOf(string(job.Status)), Rows: len(rows), Succeeded: job.Data.Counts.Succeeded, Failed: job.Data.Counts.Failed}
	finder := newRowFinder(rows, c.labelsFor(call{path: "/contacts"}))
	for _, entry := range job.Data.Failures {
		status.Failures = append(status.Failures, finder.failure(entry))
	}
	status.Failed = max(status.Failed, len(status.Failures))
	return status, nil
}

func stateOf(word string) JobState {
	switch strings.ToUpper(word) {
	case "SUCCESS":
		return JobDone
	case "QUEUED":
		return JobQueued
	case "IN_PROGRESS":
		return JobRunning
	}
	return JobFailed
}

type jobAnswer struct {
	Status text    `json:"status"`
	Data   jobData `json:"data"`
}

// jobData is JSON inside a string; without the string it is read too, and empty while the job is under way.
type jobData struct {
	Counts struct {
		Succeeded int `json:"succeeded"`
		Failed    int `json:"failed"`
	} `json:"record_status"`
	Failures []json.RawMessage `json:"detailed_failure_report"`
}

func (d *jobData) UnmarshalJSON(data []byte) error {
	var inner string
	if json.Unmarshal(data, &inner) == nil {
		data = []byte(inner)
	}
	if len(bytes.TrimSpace(data)) == 0 || string(data) == "null" {
		return nil
	}
	type plain jobData // without this method
	return json.Unmarshal(data, (*plain)(d))
}
