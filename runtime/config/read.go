package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// maxFileBytes bounds the configuration file.
const maxFileBytes = 1 << 20

// Load reads the file, applies the environment (os.Environ or a test's) and
// validates. A path of "" means no file. The error, if any, is [Problems], or
// says that the file could not be read. What the checks find wrong is reported
// with the rest, each problem with the line of its key.
func Load(path string, environ []string, checks ...func(Config) Problems) (Config, error) {
	cfg := Default()
	var problems Problems
	if path != "" {
		f, err := os.Open(path)
		if err != nil {
			return Config{}, fmt.Errorf("configuration: %w", err)
		}
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
		if err != nil {
			return Config{}, fmt.Errorf("configuration %s: %w", path, err)
		}
		if len(text) > maxFileBytes {
			return Config{}, fmt.Errorf("configuration %s is larger than %s", path, Size(maxFileBytes))
		}
		problems = decode(&cfg, path, string(text))
		problems = append(problems, cfg.environment(environ)...)
		lines := indexLines(string(text))
		problems = append(problems, cfg.check(path, lines)...)
		problems = append(problems, cfg.checkBy(checks, path, lines)...)
		return cfg, problems.err()
	}
	problems = append(problems, cfg.environment(environ)...)
	problems = append(problems, cfg.check("configuration", nil)...)
	problems = append(problems, cfg.checkBy(checks, "configuration", nil)...)
	return cfg, problems.err()
}

// checkBy runs checks of the caller and says where the keys stand.
func (c Config) checkBy(checks []func(Config) Problems, source string, lines lineIndex) Problems {
	var problems Problems
	for _, check := range checks {
		for _, p := range check(c) {
			p.Source, p.Line = source, lines.of(p.Key)
			problems = append(problems, p)
		}
	}
	return problems
}

// Parse reads TOML text and validates it; name stands for the file in errors.
func Parse(name, text string) (Config, error) {
	cfg := Default()
	problems := decode(&cfg, name, text)
	problems = append(problems, cfg.check(name, indexLines(text))...)
	return cfg, problems.err()
}

// Validate checks ranges and references, as reading a file does.
func (c Config) Validate() error {
	return c.check("configuration", nil).err()
}

// located matches the library's errors that carry a position only in text.
var located = regexp.MustCompile(`^toml: line (\d+)(?: \(last key "([^"]*)"\))?: (.*)$`)

// decode fills cfg from text. The library stops at its first error, so the
// line of a value that cannot be read is blanked and the text read again:
// that finds the next one.
func decode(cfg *Config, source, text string) Problems {
	var problems Problems
	lines := strings.Split(text, "\n")
	for len(problems) < 100 {
		attempt := Default()
		md, err := toml.Decode(strings.Join(lines, "\n"), &attempt)
		if err == nil {
			*cfg = attempt
			index := indexLines(text)
			return append(problems, unknown(source, md.Undecoded(), index)...)
		}
		line, key, message := position(err)
		if key == "" && len(problems) > 0 {
			return problems // a consequence of blanking, not of the file
		}
		problems = append(problems, Problem{Source: source, Line: line, Key: key, Message: message})
		if key == "" || line < 1 || line > len(lines) || lines[line-1] == "" {
			return problems
		}
		lines[line-1] = ""
	}
	return problems
}

func position(err error) (line int, key, message string) {
	var syntax toml.ParseError
	if errors.As(err, &syntax) {
		return syntax.Position.Line, syntax.LastKey, syntax.Message
	}
	if m := located.FindStringSubmatch(err.Error()); m != nil {
		line, _ := strconv.Atoi(m[1])
		return line, m[2], m[3]
	}
	return 0, "", err.Error()
}

func unknown(source string, keys []toml.Key, index lineIndex) Problems {
	var problems Problems
	reported := ""
	for _, k := range keys {
		key := joinKey(k)
		if reported != "" && strings.HasPrefix(key, reported+".") {
			continue // its table is unknown already
		}
		reported = key
		message := "unknown key"
		if near := nearest(key); near != "" {
			message += fmt.Sprintf(": did you mean %q?", near)
		}
		problems = append(problems, Problem{Source: source, Line: index.ofUnknown(key), Key: key, Message: message})
	}
	return problems
}

// ofUnknown finds a key whose path lacks the indexes of arrays of tables.
func (x lineIndex) ofUnknown(key string) int {
	if line, ok := x[key]; ok {
		return line
	}
	for path, line := range x {
		if arrayIndex.ReplaceAllString(path, "") == key {
			return line
		}
	}
	return x.of(key)
}

var arrayIndex = regexp.MustCompile(`\[\d+\]`)

// environment applies PERFOPT_* variables: PERFOPT_CACHE_CAPACITY is
// cache.capacity. Lists are separated by commas, policy settings are inline
// tables. Named caches and routes have no variables.
func (c *Config) environment(environ []string) Problems {
	values := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, "PERFOPT_") {
			values[name] = value
		}
	}
	var problems Problems
	for _, f := range schema() {
		if f.index == nil {
			continue
		}
		name := EnvName(f.path)
		if value, ok := values[name]; ok {
			if err := c.set(f, value); err != nil {
				problems = append(problems, Problem{Source: name, Key: f.path, Message: err.Error()})
			}
		}
	}
	return problems
}

// EnvName returns the environment variable of a key.
func EnvName(key string) string {
	return "PERFOPT_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// Set sets one key from text, as flags do. Named caches and routes cannot be
// set this way.
func (c *Config) Set(key, value string) error {
	for _, f := range schema() {
		if f.path == key && f.index != nil {
			if err := c.set(f, value); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			return nil
		}
	}
	return fmt.Errorf("%s: unknown key", key)
}

func (c *Config) set(f field, value string) error {
	literal := value
	switch {
	case isValue(f.typ) || f.typ.Kind() == reflect.String:
		literal = strconv.Quote(value)
	case f.typ.Kind() == reflect.Slice:
		var quoted []string
		for item := range strings.SplitSeq(value, ",") {
			if item = strings.TrimSpace(item); item != "" {
				quoted = append(quoted, strconv.Quote(item))
			}
		}
		literal = "[" + strings.Join(quoted, ", ") + "]"
	}
	holder := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "V", Type: f.typ, Tag: `toml:"v"`}}))
	if _, err := toml.Decode("v = "+literal, holder.Interface()); err != nil {
		_, _, message := position(err)
		return errors.New(message)
	}
	reflect.ValueOf(c).Elem().FieldByIndex(f.index).Set(holder.Elem().Field(0))
	return nil
}
