package sandbox

import (
	"net/http"
	"slices"
	"strings"
)

// Operations name the routes, in the call log and in faults. Where freshrelay's client has the call, the names agree.
const (
	OpCreateContact  = "create_contact"
	OpGetContact     = "get_contact"
	OpUpdateContact  = "update_contact"
	OpUpsertContact  = "upsert_contact"
	OpDeleteContact  = "delete_contact"
	OpForgetContact  = "forget_contact"
	OpBulkUpsert     = "bulk_upsert"
	OpJobStatus      = "job_status"
	OpListContacts   = "list_contacts"
	OpLookupContacts = "lookup_contacts"
	OpContactFilters = "contact_filters"
	OpContactView    = "contact_view"
	OpContactFields  = "contact_fields"
	OpRestoreContact = "restore_contact"
	OpUpsertAccount  = "upsert_account"
	OpCreateAccount  = "create_account"
	OpGetAccount     = "get_account"
	OpUpdateAccount  = "update_account"
	OpDeleteAccount  = "delete_account"
	OpAccountFields  = "account_fields"
	OpCreateActivity = "create_activity"
	OpListActivities = "list_activities"
	OpGetActivity    = "get_activity"
	OpCreateNote     = "create_note"
	OpSelector       = "selector"
	OpSendEvent      = "send_event"
	OpLists          = "lists"
	OpCreateList     = "create_list"
	OpListMembers    = "list_members"
	OpAddToList      = "add_to_list"
	OpRemoveFromList = "remove_from_list"

	OpSearch          = "search"
	OpFilteredSearch  = "filtered_search"
	OpBulkDestroy     = "bulk_destroy"
	OpBulkAssignOwner = "bulk_assign_owner"
	OpCloneContact    = "clone_contact"
	OpCreateTask      = "create_task"
	OpListTasks       = "list_tasks"
	OpGetTask         = "get_task"
	OpUpdateTask      = "update_task"
	OpDeleteTask      = "delete_task"

	OpListAccounts        = "list_accounts"
	OpAccountFilters      = "account_filters"
	OpAccountView         = "account_view"
	OpBulkUpsertAccounts  = "bulk_upsert_accounts"
	OpBulkDestroyAccounts = "bulk_destroy_accounts"
	OpForgetAccount       = "forget_account"
	OpCloneAccount        = "clone_account"
	OpUpdateActivity      = "update_activity"
	OpDeleteActivity      = "delete_activity"
	OpActivityFields      = "activity_fields"
	OpActivityTypes       = "activity_types"
	OpPipelineStages      = "pipeline_stages"
	OpCreateAppointment   = "create_appointment"
	OpListAppointments    = "list_appointments"
	OpGetAppointment      = "get_appointment"
	OpUpdateAppointment   = "update_appointment"
	OpDeleteAppointment   = "delete_appointment"
	OpRenameList          = "rename_list"
	OpMoveToList          = "move_to_list"

	OpUnknown = "unknown"
)

// routes of the API, relative to apiPrefix; ":id" stands for one segment. Fixed segments come before ":id".
// Source: Freshworks CRM API. Whatever is not here is answered by a bare 404, also a wrong method.
var routes = []struct{ method, pattern, op string }{ //nolint:gochecknoglobals // a table nobody writes to
	{http.MethodPost, "contacts", OpCreateContact},
	{http.MethodGet, "contacts", OpListContacts},
	{http.MethodPost, "contacts/upsert", OpUpsertContact},
	{http.MethodPost, "contacts/bulk_upsert", OpBulkUpsert},
	{http.MethodGet, "job_statuses/:id", OpJobStatus},
	{http.MethodGet, "contacts/filters", OpContactFilters},
	{http.MethodGet, "contacts/view/:id", OpContactView},
	{http.MethodGet, "contacts/:id", OpGetContact},
	{http.MethodPut, "contacts/:id", OpUpdateContact},
	{http.MethodDelete, "contacts/:id", OpDeleteContact},
	{http.MethodDelete, "contacts/:id/forget", OpForgetContact},
	{http.MethodPut, "contacts/:id/restore", OpRestoreContact},
	{http.MethodGet, "contacts/lists/:id", OpListMembers},
	{http.MethodPost, "sales_accounts", OpCreateAccount},
	{http.MethodGet, "sales_accounts", OpListAccounts},
	{http.MethodPost, "sales_accounts/upsert", OpUpsertAccount},
	{http.MethodPost, "sales_accounts/bulk_upsert", OpBulkUpsertAccounts},
	{http.MethodPost, "sales_accounts/bulk_destroy", OpBulkDestroyAccounts},
	{http.MethodGet, "sales_accounts/filters", OpAccountFilters},
	{http.MethodGet, "sales_accounts/view/:id", OpAccountView},
	{http.MethodPost, "sales_accounts/:id/clone", OpCloneAccount},
	{http.MethodDelete, "sales_accounts/:id/forget", OpForgetAccount},
	{http.MethodGet, "sales_accounts/:id", OpGetAccount},
	{http.MethodPut, "sales_accounts/:id", OpUpdateAccount},
	{http.MethodDelete, "sales_accounts/:id", OpDeleteAccount},
	{http.MethodPost, "sales_activities", OpCreateActivity},
	{http.MethodGet, "sales_activities", OpListActivities},
	{http.MethodGet, "sales_activities/:id", OpGetActivity},
	{http.MethodPut, "sales_activities/:id", OpUpdateActivity},
	{http.MethodDelete, "sales_activities/:id", OpDeleteActivity},
	{http.MethodPost, "notes", OpCreateNote},
	{http.MethodGet, "lists", OpLists},
	{http.MethodPost, "lists", OpCreateList},
	{http.MethodPut, "lists/:id", OpRenameList},
	{http.MethodPut, "lists/:id/add_contacts", OpAddToList},
	{http.MethodPut, "lists/:id/move_contacts", OpMoveToList},
	{http.MethodPut, "lists/:id/remove_contacts", OpRemoveFromList},
	{http.MethodGet, "selector/:id", OpSelector},
	{http.MethodGet, "selector/deal_pipelines/:id/deal_stages", OpPipelineStages},
	{http.MethodGet, "lookup", OpLookupContacts},
	{http.MethodGet, "search", OpSearch},
	{http.MethodPost, "filtered_search/:id", OpFilteredSearch},
	{http.MethodPost, "contacts/bulk_destroy", OpBulkDestroy},
	{http.MethodPost, "contacts/bulk_assign_owner", OpBulkAssignOwner},
	{http.MethodPost, "contacts/:id/clone", OpCloneContact},
	{http.MethodPost, "tasks", OpCreateTask},
	{http.MethodGet, "tasks", OpListTasks},
	{http.MethodGet, "tasks/:id", OpGetTask},
	{http.MethodPut, "tasks/:id", OpUpdateTask},
	{http.MethodDelete, "tasks/:id", OpDeleteTask},
	{http.MethodPost, "appointments", OpCreateAppointment},
	{http.MethodGet, "appointments", OpListAppointments},
	{http.MethodGet, "appointments/:id", OpGetAppointment},
	{http.MethodPut, "appointments/:id", OpUpdateAppointment},
	{http.MethodDelete, "appointments/:id", OpDeleteAppointment},
	{http.MethodGet, "settings/contacts/fields", OpContactFields},
	{http.MethodGet, "settings/sales_accounts/fields", OpAccountFields},
	{http.MethodGet, "settings/sales_activities/fields", OpActivityFields},
	{http.MethodGet, "settings/sales_activity_types", OpActivityTypes},
}

// route finds the operation and the id in the path.
func route(method, path string) request {
	if method == http.MethodPost && path == eventsPath {
		return request{op: OpSendEvent}
	}
	if what, ok := strings.CutPrefix(path, trackPrefix); ok {
		if method != http.MethodPost || trackRoutes[what].op == "" {
			return request{op: OpUnknown}
		}
		return request{op: trackRoutes[what].op, id: what}
	}
	for _, prefix := range []string{classicPrefix, marketerPrefix + "v1/"} {
		if rest, ok := strings.CutPrefix(path, prefix); ok {
			return classicRoute(method, rest)
		}
	}
	path, ok := strings.CutPrefix(path, apiPrefix)
	if !ok {
		return request{op: OpUnknown}
	}
	for _, candidate := range routes {
		if candidate.method != method {
			continue
		}
		if id, ok := matchPath(candidate.pattern, path); ok {
			return request{op: candidate.op, id: id}
		}
	}
	return request{op: OpUnknown}
}

func matchPath(pattern, path string) (id string, ok bool) {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return "", false
	}
	for i, segment := range want {
		switch {
		case segment == ":id" && got[i] != "":
			id = got[i]
		case segment != got[i]:
			return "", false
		}
	}
	return id, true
}

// operations lists all names that a fault may be limited to.
func operations() []string {
	names := []string{OpUnknown, OpSendEvent, OpClassicSubscribe, OpClassicUnsubscribe}
	for _, r := range slices.Concat(routes, classicRoutes) {
		names = append(names, r.op)
	}
	for _, r := range trackRoutes {
		names = append(names, r.op)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
