package sandbox

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// maxBulk is how many records a bulk upsert takes. Source: seen in client code.
const maxBulk = 100

// bulk is one job: a list of records on their way in. Nothing runs in the background: what is due by now is done at the
// start of the next call, with the time at which it was due.
type bulk struct {
	id       int64
	call     request          // that made it
	records  []map[string]any // nil once all are done
	order    []int            // in which the records are worked off: not promised, so shuffled
	size     int              // records
	from, to time.Time
	polls    int // job_status calls so far
	done     int // records
	failed   int
	failures []map[string]any
	updated  time.Time
}

// bulkUpsert is POST /contacts/bulk_upsert, and /sales_accounts/bulk_upsert with its records under "sales_accounts" (seen in one
// client). Source: seen in client code, as are the 405 for too many jobs under way and the absolute URL; that more than 100
// records are refused as a whole, and that jobs of both kinds count together, is inferred.
func (s *Sandbox) bulkUpsert(rq request) answer {
	whole, err := s.decodeObject(rq)
	if err != nil {
		return s.refuse(http.StatusBadRequest, err.Error())
	}
	key, message := "contacts", "The contacts are being upserted."
	if rq.op == OpBulkUpsertAccounts {
		key, message = "sales_accounts", "The accounts are being upserted."
	}
	list, ok := whole[key].([]any)
	if !ok || len(list) == 0 || len(list) > maxBulk {
		return s.refuse(http.StatusBadRequest, s.say(invalidAttributes))
	}
	job := &bulk{call: rq}
	for _, item := range list {
		record, ok := item.(map[string]any)
		if !ok {
			return s.refuse(http.StatusBadRequest, s.say(invalidAttributes))
		}
		job.records = append(job.records, record)
	}
	if len(s.running) >= s.opt.MaxJobs {
		return answer{status: http.StatusMethodNotAllowed}
	}
	job.size = len(job.records)
	job.id = firstJobID + int64(len(s.jobs))
	job.order = rand.New(rand.NewPCG(s.opt.Seed, uint64(job.id))).Perm(job.size) //nolint:gosec // dice that must fall the same way again, not a secret
	job.from, job.updated = rq.at.Add(s.opt.BulkWait), rq.at
	job.to = job.from.Add(s.opt.BulkDuration)
	s.jobs, s.running = append(s.jobs, job), append(s.running, job)
	s.advance(rq.at)
	return answer{status: http.StatusOK, body: map[string]any{
		"message":        message,
		"job_status_url": rq.base + apiPrefix + "job_statuses/" + strconv.FormatInt(job.id, 10),
	}}
}

// jobStatus is GET /job_statuses/:id. Source: keys seen in client code; data is JSON inside a string, and the shape of
// one failure is inferred.
func (s *Sandbox) jobStatus(rq request) answer {
	id, err := strconv.ParseInt(rq.id, 10, 64)
	if err != nil {
		return answer{status: http.StatusNotFound}
	}
	if id < firstJobID || id >= firstJobID+int64(len(s.jobs)) {
		return s.refuse(http.StatusNotFound, s.say(notInCRM))
	}
	job := s.jobs[id-firstJobID]
	due := job.share(s.opt, rq.at)
	job.polls++ // what it allows is seen by the next one
	state := "IN_PROGRESS"
	switch {
	case job.done == job.size:
		state = "SUCCESS"
	case due == 0:
		state = "QUEUED"
	}
	data, err := json.Marshal(map[string]any{
		"record_status":           map[string]any{"succeeded": job.done - job.failed, "failed": job.failed},
		"detailed_failure_report": append([]map[string]any{}, job.failures...),
	})
	if err != nil { // only values read from JSON get here
		return answer{status: http.StatusInternalServerError, body: map[string]any{"error_code": 500}}
	}
	return answer{status: http.StatusOK, body: map[string]any{
		"job_type_name": "bulk_upsert", "status": state, "progress": 100 * job.done / job.size,
		"created_at": timestamp(job.call.at), "status_updated_at": timestamp(job.updated), "data": string(data),
	}}
}

// share is how much of the job is due at now, 0 to 1: the smaller one of what its time and its polls allow.
func (j *bulk) share(opt Options, now time.Time) float64 {
	byTime := 1.0
	switch {
	case now.Before(j.from):
		byTime = 0
	case now.Before(j.to):
		byTime = float64(now.Sub(j.from)) / float64(j.to.Sub(j.from))
	}
	if opt.BulkPolls > 0 {
		return min(byTime, float64(j.polls)/float64(opt.BulkPolls))
	}
	return byTime
}

// advance does what is due of all jobs. s.mu is held.
func (s *Sandbox) advance(now time.Time) {
	for _, job := range s.running {
		due := int(job.share(s.opt, now) * float64(job.size))
		for ; job.done < due; job.done++ {
			job.updated = now
			if s.opt.BulkPolls == 0 { // then the time alone decides, and the record's own moment is known
				part := float64(job.done+1) / float64(job.size)
				job.updated = job.from.Add(time.Duration(part * float64(job.to.Sub(job.from))))
			}
			s.upsertRecord(job, job.records[job.order[job.done]], job.updated)
		}
		if job.done == job.size {
			job.records, job.order = nil, nil
		}
	}
	s.running = slices.DeleteFunc(s.running, func(job *bulk) bool { return job.done == job.size })
}

// upsertRecord does one record: the identifier stands beside "data", and a refusal goes into the job's report.
func (s *Sandbox) upsertRecord(job *bulk, record map[string]any, at time.Time) {
	rq := job.call
	rq.at = at
	data, _ := record["data"].(map[string]any)
	identifier := map[string]any{}
	for name, v := range record {
		if name != "data" {
			identifier[name] = v
		}
	}
	var ans answer
	if rq.op == OpBulkUpsertAccounts {
		ans = s.upsertAccountRecord(rq, identifier, data)
	} else {
		ans = s.upsert(rq, identifier, data, s.opt.BulkCustomFieldMode)
	}
	if ans.effect {
		s.effects = append(s.effects, Call{
			N: rq.n, Time: at, Operation: rq.op, Method: rq.method, Path: rq.path, Status: http.StatusOK, ContactID: ans.contactID, Effect: true,
		})
		return
	}
	job.failed++
	entry := maps.Clone(identifier)
	entry["error"] = ans.body
	if body, ok := ans.body.(map[string]any); ok {
		if errs, ok := body["errors"].(map[string]any); ok {
			entry["error"] = errs
		}
	}
	job.failures = append(job.failures, entry)
}
