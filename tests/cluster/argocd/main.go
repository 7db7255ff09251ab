// Argocd does with one object what Argo CD does with it: the object as JSON on standard input, the answer as JSON on
// standard output.
//
//	argocd health       {"status":"Suspended","message":"..."}, as its users see it
//	argocd actions      {"abort":true,"retry":false,...}: which actions it offers now
//	argocd run ACTION   {"status":PATCH,"object":PATCH}: the merge patches that it sends, first the one for the
//	                    subresource "status" (the whole difference), then the one for the object (what is not status).
//	                    One that it does not send is absent
//
// The scripts are those of Argo CD, embedded in its module. They are run as its package util/lua runs them; that package
// itself would bring the whole of Argo CD along.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/argoproj/argo-cd/v3/resource_customizations"
	jsonpatch "github.com/evanphx/json-patch"
	lua "github.com/yuin/gopher-lua"
	luajson "layeh.com/gopher-json"
)

func main() {
	answer, err := answer(os.Args[1:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(answer)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "argocd:", err)
		os.Exit(1)
	}
}

func answer(args []string) (any, error) {
	var object map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&object); err != nil {
		return nil, fmt.Errorf("cannot read the object: %w", err)
	}
	switch {
	case len(args) == 1 && args[0] == "health":
		return run(object, "health.lua")
	case len(args) == 1 && args[0] == "actions":
		return enabled(object)
	case len(args) == 2 && args[0] == "run":
		return patches(object, args[1])
	}
	return nil, fmt.Errorf("usage: argocd health|actions|run ACTION")
}

// run gives what a script of the object's kind returns.
func run(object map[string]any, script string) (map[string]any, error) {
	group, _, _ := strings.Cut(fmt.Sprint(object["apiVersion"]), "/")
	script = path.Join(group, fmt.Sprint(object["kind"]), script)
	text, err := resource_customizations.Embedded.ReadFile(script)
	if err != nil {
		return nil, err
	}
	state := lua.NewState()
	defer state.Close()
	state.SetGlobal("obj", luajson.DecodeValue(state, object))
	if err := state.DoString(string(text)); err != nil {
		return nil, fmt.Errorf("%s: %w", script, err)
	}
	encoded, err := luajson.Encode(state.Get(-1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", script, err)
	}
	var returned map[string]any
	if err := json.Unmarshal(encoded, &returned); err != nil {
		return nil, fmt.Errorf("%s returned %s: %w", script, encoded, err)
	}
	return returned, nil
}

// enabled tells of each action whether it can be chosen: it can, unless it says that it is disabled.
func enabled(object map[string]any) (map[string]bool, error) {
	all, err := run(object, "actions/discovery.lua")
	if err != nil {
		return nil, err
	}
	answer := map[string]bool{}
	for name, action := range all {
		fields, _ := action.(map[string]any)
		disabled, _ := fields["disabled"].(bool)
		answer[name] = !disabled
	}
	return answer, nil
}

func patches(object map[string]any, action string) (map[string]json.RawMessage, error) {
	edited, err := run(object, path.Join("actions", action, "action.lua"))
	if err != nil {
		return nil, err
	}
	before, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	after, err := json.Marshal(mended(edited, object))
	if err != nil {
		return nil, err
	}
	patch, err := jsonpatch.CreateMergePatch(before, after)
	if err != nil {
		return nil, err
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(patch, &parts); err != nil {
		return nil, err
	}
	send := map[string]json.RawMessage{}
	if _, ok := parts["status"]; ok {
		// An AnalysisRun has no such subresource, but none of its actions writes a status either.
		send["status"] = patch
		delete(parts, "status")
	}
	if len(parts) > 0 {
		if send["object"], err = json.Marshal(parts); err != nil {
			return nil, err
		}
	}
	return send, nil
}

// mended is after with an object wherever before has an empty one: in Lua both are an empty table, which comes back as an
// empty list.
func mended(after, before any) any {
	switch old := before.(type) {
	case map[string]any:
		switch now := after.(type) {
		case map[string]any:
			for key := range now {
				now[key] = mended(now[key], old[key])
			}
		case []any:
			if len(now) == 0 {
				return map[string]any{}
			}
		}
	case []any:
		if now, ok := after.([]any); ok {
			for i := range min(len(now), len(old)) {
				now[i] = mended(now[i], old[i])
			}
		}
	}
	return after
}
