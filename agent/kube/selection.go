package kube

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"millrace/internal/config"
)

// Selection says which containers a pipeline reads. It is meant to be inlined
// in the section that names the source.
type Selection struct {
	// Include selects a container when any entry matches it. It must have an
	// entry: [{}] selects every container.
	Include []Match `yaml:"include"`
	// Exclude wins over Include.
	Exclude []Match `yaml:"exclude"`
}

// Match matches a container when everything it names does.
type Match struct {
	// Namespaces lists namespaces by name; empty: any.
	Namespaces []string `yaml:"namespaces"`
	// Labels is a selector on the pod's labels in the syntax of Kubernetes;
	// empty: any.
	Labels string `yaml:"labels"`
	// Names lists containers by name, init and ephemeral ones too; empty: any.
	Names []string `yaml:"names"`
}

// Validate checks what can be checked without the kubernetes section.
func (s *Selection) Validate(e *config.Errors) {
	if len(s.Include) == 0 {
		e.Add("include", "must have at least one entry; [{}] selects every container")
	}
	for i, m := range s.Exclude {
		if len(m.Namespaces) == 0 && len(m.Names) == 0 && m.Labels == "" {
			e.Add(fmt.Sprintf("exclude[%d]", i), "must name something: an empty entry excludes every container")
		}
	}
}

// ValidateMetadata adds a mistake for each selector on labels when metadata
// is path: directory names hold no labels. Whoever owns both sections calls
// it; key is where the selection stands, relative to the section of e.
func (s *Selection) ValidateMetadata(e *config.Errors, key, metadata string) {
	if metadata != MetadataPath {
		return
	}
	check := func(list string, matches []Match) {
		for i, m := range matches {
			if m.Labels != "" {
				e.Add(fmt.Sprintf("%s.%s[%d].labels", key, list, i),
					"cannot be used with kubernetes.metadata: path, which knows no labels: use namespaces and names, or metadata: api")
			}
		}
	}
	check("include", s.Include)
	check("exclude", s.Exclude)
}

// Validate checks one entry.
func (m *Match) Validate(e *config.Errors) {
	if _, err := labels.Parse(m.Labels); err != nil {
		e.Add("labels", "is not a label selector: %v", err)
	}
	if slices.Contains(m.Namespaces, "") {
		e.Add("namespaces", "must not hold an empty name")
	}
	if slices.Contains(m.Names, "") {
		e.Add("names", "must not hold an empty name")
	}
}

// Selector is a compiled Selection. It is immutable and may be used
// concurrently.
type Selector struct {
	include, exclude []matcher
}

// Selector compiles the selection. It fails only on what Validate refuses.
func (s *Selection) Selector() (*Selector, error) {
	include, err := compile(s.Include)
	if err != nil {
		return nil, fmt.Errorf("include%w", err)
	}
	exclude, err := compile(s.Exclude)
	if err != nil {
		return nil, fmt.Errorf("exclude%w", err)
	}
	return &Selector{include: include, exclude: exclude}, nil
}

// Selects tells whether the container called name of a pod in namespace with
// these labels is selected.
func (s *Selector) Selects(namespace, name string, podLabels map[string]string) bool {
	match := func(m matcher) bool { return m.matches(namespace, name, podLabels) }
	return slices.ContainsFunc(s.include, match) && !slices.ContainsFunc(s.exclude, match)
}

// mayMatch tells whether any container of the namespace could be included.
func (s *Selector) mayMatch(namespace string) bool {
	return slices.ContainsFunc(s.include, func(m matcher) bool { return oneOf(m.namespaces, namespace) })
}

type matcher struct {
	namespaces, names []string
	labels            labels.Selector
}

func compile(matches []Match) ([]matcher, error) {
	var out []matcher
	for i, m := range matches {
		parsed, err := labels.Parse(m.Labels)
		if err != nil {
			return nil, fmt.Errorf("[%d].labels: %w", i, err)
		}
		out = append(out, matcher{namespaces: m.Namespaces, names: m.Names, labels: parsed})
	}
	return out, nil
}

func (m matcher) matches(namespace, name string, podLabels map[string]string) bool {
	return oneOf(m.namespaces, namespace) && oneOf(m.names, name) && m.labels.Matches(labels.Set(podLabels))
}

// oneOf tells whether value is in the list, or the list does not restrict it.
func oneOf(list []string, value string) bool {
	return len(list) == 0 || slices.Contains(list, value)
}
