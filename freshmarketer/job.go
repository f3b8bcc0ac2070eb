package freshmarketer

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
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

// Certain says that the job is done and that every row that failed is among Failures with its index.
func (s JobStatus) Certain() bool {
	told := map[int]bool{}
	for _, failure := range s.Failures {
		if failure.Row >= 0 {
			told[failure.Row] = true
		}
	}
	return s.State == JobDone && len(told) == len(s.Failures) && len(told) == s.Failed
}

// JobStatus asks for a bulk job. The rows are those of its BulkUpsert; they are only needed to tell which of them
// failed, and may be nil. KindGone if there is no such job (any more).
//
// Source: Freshworks CRM API, "View job status"; that data is JSON inside a string is seen in client code. The shape of
// the failure report is not documented, so a row is recognised by its identifier's value anywhere in an entry.
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
	status := JobStatus{State: stateOf(string(job.Status)), Succeeded: job.Data.Counts.Succeeded, Failed: job.Data.Counts.Failed}
	finder := newRowFinder(rows)
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

// rowFinder recognises the rows of a job in its failure report.
type rowFinder struct {
	rows    []BulkRow
	byValue map[string]int // the identifier's value in lower case
}

func newRowFinder(rows []BulkRow) rowFinder {
	finder := rowFinder{rows: rows, byValue: make(map[string]int, len(rows))}
	for i, row := range rows {
		finder.byValue[strings.ToLower(row.Value)] = i
	}
	return finder
}

func (f rowFinder) failure(entry json.RawMessage) JobFailure {
	scalars, texts := scalarsOf(entry)
	row := -1
	for _, value := range scalars {
		if i, ok := f.byValue[strings.ToLower(value)]; ok {
			if row >= 0 && row != i {
				return JobFailure{Row: -1, Kind: KindInvalid} // two rows in one entry: no telling
			}
			row = i
		}
	}
	if row < 0 {
		return JobFailure{Row: -1, Kind: KindInvalid}
	}
	own := f.rows[row].sent()
	said := strings.Join(texts, "; ")
	failure := JobFailure{Row: row, Kind: kindOfRefusal(own, said), Text: own.redact(said)}
	failure.Field = own.fieldNamedIn(failure.Text)
	return failure
}

// scalarsOf collects every string and number of an entry, and the texts under keys that sound like messages.
func scalarsOf(entry json.RawMessage) (scalars, texts []string) {
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			scalars = append(scalars, v)
		case json.Number:
			scalars = append(scalars, string(v))
		case []any:
			for _, item := range v {
				walk(item)
			}
		case map[string]any:
			for _, item := range v {
				walk(item)
			}
		}
	}
	var v any
	decoder := json.NewDecoder(bytes.NewReader(entry))
	decoder.UseNumber()
	if decoder.Decode(&v) != nil {
		return nil, nil
	}
	walk(v)
	var object map[string]json.RawMessage
	if json.Unmarshal(entry, &object) != nil {
		return scalars, scalars
	}
	for _, key := range []string{"errors", "error", "message", "messages", "reason", "description", "failure_reason"} {
		texts = appendTexts(texts, object[key])
	}
	slices.Sort(scalars)
	return scalars, texts
}
