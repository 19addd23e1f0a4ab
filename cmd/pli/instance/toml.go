package instance

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// parse reads text over c's defaults and returns every fault.
func (c *Config) parse(text string) []Fault {
	var tree map[string]any
	if _, err := toml.Decode(text, &tree); err != nil {
		var pe toml.ParseError
		if errors.As(err, &pe) {
			return []Fault{{pe.Position.Line, pe.Message}}
		}
		return []Fault{{0, err.Error()}}
	}
	said := make(map[string]any)
	flatten("", tree, said)
	lines := keyLines(text)
	var faults []Fault
	for _, s := range c.settings() {
		v, ok := said[s.key]
		delete(said, s.key)
		if ok {
			if err := assign(s.to, v); err != nil {
				faults = append(faults, Fault{lines[s.key], s.key + " " + err.Error()})
				continue
			}
		}
		if s.check != nil {
			if err := s.check(); err != nil {
				faults = append(faults, Fault{lines[s.key], s.key + " " + err.Error()})
			}
		}
	}
	for key := range said {
		faults = append(faults, Fault{lines[key], key + " is no setting" + c.nearest(key)})
	}
	sort.Slice(faults, func(i, j int) bool { return faults[i].Line < faults[j].Line })
	return faults
}

// flatten writes tree's values into out under dotted keys.
func flatten(prefix string, tree map[string]any, out map[string]any) {
	for k, v := range tree {
		if sub, ok := v.(map[string]any); ok {
			flatten(prefix+k+".", sub, out)
			continue
		}
		out[prefix+k] = v
	}
}

// keyLines finds on which line each plain key of a TOML text stands. Keys that
// are written in less plain ways are simply told without a line.
func keyLines(text string) map[string]int {
	lines := make(map[string]int)
	table := ""
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			if name, _, ok := strings.Cut(line[1:], "]"); ok {
				table = strings.TrimSpace(name) + "."
			}
			continue
		}
		if name, _, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			key := table + strings.TrimSpace(name)
			if _, seen := lines[key]; !seen {
				lines[key] = i + 1
			}
		}
	}
	return lines
}

// assign puts a TOML value where a setting is kept.
func assign(to, v any) error {
	switch to := to.(type) {
	case *string:
		return assignAs(to, v, "a text in quotes")
	case *bool:
		return assignAs(to, v, "true or false")
	case *float64:
		if n, ok := v.(int64); ok {
			v = float64(n)
		}
		return assignAs(to, v, "a number")
	case *int64:
		return assignAs(to, v, "a whole number")
	case *int:
		return assignNumber(to, v)
	case *uint8:
		return assignNumber(to, v)
	case *uint32:
		return assignNumber(to, v)
	case *[]string:
		return assignList(to, v)
	case *time.Duration:
		s, _ := v.(string)
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("is %v; a duration such as \"10m\" or \"12h\"", v)
		}
		*to = d
		return nil
	}
	return fmt.Errorf("cannot be set")
}

func assignAs[T any](to *T, v any, wanted string) error {
	x, ok := v.(T)
	if !ok {
		return fmt.Errorf("is %v; it takes %s", v, wanted)
	}
	*to = x
	return nil
}

func assignNumber[T int | uint8 | uint32](to *T, v any) error {
	n, ok := v.(int64)
	if !ok || int64(T(n)) != n {
		return fmt.Errorf("is %v; it takes a whole number in range", v)
	}
	*to = T(n)
	return nil
}

func assignList(to *[]string, v any) error {
	list, ok := v.([]any)
	if !ok {
		return fmt.Errorf("is %v; it takes a list of texts", v)
	}
	out := make([]string, len(list))
	for i, x := range list {
		if out[i], ok = x.(string); !ok {
			return fmt.Errorf("has %v; it takes a list of texts", x)
		}
	}
	*to = out
	return nil
}

// nearest suggests the setting that was perhaps meant.
func (c *Config) nearest(key string) string {
	best, at := "", 4
	for _, s := range c.settings() {
		if d := distance(key, s.key); d < at {
			best, at = s.key, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is the Levenshtein distance of two short texts.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		prev := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := prev
			if a[i-1] != b[j-1] {
				cost++
			}
			prev = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

// Write returns c as the text of a configuration file, each setting with its
// meaning: what `pli init` leaves behind.
func (c *Config) Write() string {
	var b strings.Builder
	table := ""
	for _, s := range c.settings() {
		t, name, _ := strings.Cut(s.key, ".")
		if t != table {
			fmt.Fprintf(&b, "\n[%s]\n", t)
			table = t
		}
		fmt.Fprintf(&b, "%-40s # %s\n", name+" = "+tomlValue(s.to), s.help)
	}
	return strings.TrimPrefix(b.String(), "\n")
}

func tomlValue(to any) string {
	switch v := to.(type) {
	case *string:
		return quote(*v)
	case *[]string:
		parts := make([]string, len(*v))
		for i, s := range *v {
			parts[i] = quote(s)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case *time.Duration:
		return quote(v.String())
	case *bool:
		return fmt.Sprint(*v)
	case *int:
		return fmt.Sprint(*v)
	case *int64:
		return fmt.Sprint(*v)
	case *uint8:
		return fmt.Sprint(*v)
	case *uint32:
		return fmt.Sprint(*v)
	case *float64:
		return fmt.Sprint(*v)
	}
	return `""`
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
