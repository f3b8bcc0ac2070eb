package freshmarketer

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// MaxBulk is how many contacts one bulk upsert takes.
// Source: Freshworks CRM API, "Bulk upsert contacts", as restated by client code.
const MaxBulk = 100

// BulkRow is one contact of a bulk upsert: the identifier and value that find it, and the change.
type BulkRow struct {
	Identifier string // "id", "emails" or "external_id"
	Value      string
	Write      ContactWrite
}

// BulkJob is a bulk upsert that the API has taken and works off by itself.
type BulkJob struct {
	ID string // a number, as text; what JobStatus asks for
}

// BulkUpsert hands over up to MaxBulk contacts, to be created or updated. Success means taken, not done: JobStatus
// tells what became of each row. The order inside a job is not promised, so no contact may be in it twice.
//
// KindThrottled with status 405 means that too many jobs are under way, which says nothing about the quota of the other
// calls; clients have been seen to wait 5 seconds. KindMisrouted with a 2xx status means that the job was taken but its
// URL is that of another host: it cannot be followed, as the key is sent to no other host than the account's.
//
// Source: Freshworks CRM API, "Bulk upsert contacts"; the identifier beside "data" is seen in client code.
func (c *Client) BulkUpsert(ctx context.Context, rows []BulkRow) (BulkJob, error) {
	if len(rows) == 0 || len(rows) > MaxBulk {
		return BulkJob{}, refuse(OpBulkUpsert, "a bulk upsert takes 1 to 100 contacts")
	}
	contacts := make([]map[string]any, len(rows))
	var all sent
	for i, row := range rows {
		identifier := row.identifier()
		if identifier == "" || strings.TrimSpace(row.Value) == "" {
			return BulkJob{}, refuse(OpBulkUpsert, "the identifier of a contact is not one of id, emails, external_id, or has no value")
		}
		data := row.Write.wire("emails")
		// A contact that external_id does not find would otherwise be created without it.
		if _, given := data["external_id"]; identifier == "external_id" && !given {
			data["external_id"] = row.Value
		}
		contacts[i] = map[string]any{identifier: row.Value, "data": data}
		all.merge(row.sent())
	}
	var taken struct {
		URL string `json:"job_status_url"`
	}
	cl := call{op: OpBulkUpsert, method: http.MethodPost, path: "/contacts/bulk_upsert", sent: all, body: map[string]any{"contacts": contacts}}
	if err := c.do(ctx, cl, decodeInto(&taken, func() bool { return taken.URL != "" })); err != nil {
		return BulkJob{}, err
	}
	id, text := c.jobID(taken.URL)
	if text != "" {
		return BulkJob{}, &Error{Op: OpBulkUpsert, Kind: KindMisrouted, Status: http.StatusOK, Text: text}
	}
	return BulkJob{ID: id}, nil
}

// identifier is what the API calls it, "" if it is none of the known ones.
func (r BulkRow) identifier() string {
	switch r.Identifier {
	case "email", "emails":
		return "emails"
	case "id", "external_id":
		return r.Identifier
	}
	return ""
}

func (r BulkRow) sent() sent {
	field := r.identifier()
	if field == "emails" {
		field = "email"
	}
	return r.Write.sent(field, r.Value)
}

// jobID takes the job's number out of its URL. The URL itself is never called: the job is asked for below the client's
// own base, so that an answer cannot send the key anywhere. A URL of another host than the account's is refused all the
// same, because the number would be that of somebody else's job.
func (c *Client) jobID(raw string) (id, problem string) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", "the URL of the job cannot be read"
	}
	if u.Host != "" && !c.isOwnHost(u.Host) {
		return "", "the job's URL is that of another host than the account's; behind a proxy of your own, set freshmarketer.domain beside base_url"
	}
	_, id, found := strings.Cut(u.Path, "/job_statuses/")
	if id = strings.TrimSuffix(id, "/"); !found || !isID(id) {
		return "", "the URL of the job holds no number"
	}
	return id, ""
}

// isOwnHost compares with the host that is called and, if that is a proxy in front of the account, with the account's.
func (c *Client) isOwnHost(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ":443")
	return host == strings.TrimSuffix(c.base.Host, ":443") || host == c.account
}
