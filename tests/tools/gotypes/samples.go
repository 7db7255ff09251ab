package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// The samples are random, but the same in every run.
var random = rand.New(rand.NewPCG(1, 2))

// writeTemplates prints pod templates as users write them and as nobody should: fields of every struct at random,
// odd quantities, empty and null values, unknown fields, text that Go escapes.
func writeTemplates(out *bufio.Writer, count int) {
	all := reflect.TypeFor[corev1.PodTemplateSpec]()
	for _, template := range writtenTemplates {
		fmt.Fprintln(out, strings.Join(strings.Fields(template), " "))
	}
	volumes, common := reflect.TypeFor[corev1.VolumeSource](), reflect.TypeFor[corev1.Container]()
	for i := range volumes.NumField() {
		field := volumes.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		volume := map[string]any{"name": "v", name: sample(field.Type, 3)}
		print1(out, map[string]any{"spec": map[string]any{"volumes": []any{volume}, "containers": []any{sample(common, 5)}}})
	}
	for range count {
		print1(out, sample(all, 0))
	}
}

func print1(out *bufio.Writer, value any) {
	line, err := json.Marshal(value)
	check(err)
	fmt.Fprintf(out, "%s\n", line)
}

// sample makes JSON for a type; the deeper it is, the fewer fields are set.
func sample(t reflect.Type, depth int) any {
	switch scalars[t] {
	case "quantity":
		if random.IntN(8) == 0 {
			return pick([]any{1, 0.5, 0, 1000, 1500.25, -2, 1e21, nil})
		}
		return quantitySample()
	case "intorstring":
		return pick([]any{8080, "http", "25%", "", 0, -1})
	case "time":
		return pick([]any{nil, "2024-01-02T03:04:05Z"})
	case "raw":
		return map[string]any{"f:b": map[string]any{"<": 1.5}, "f:a": nil}
	}
	switch t.Kind() {
	case reflect.String:
		return pick([]any{"", "a", "app", "tmp/<x> & \"y\"", "é😀\u2028\u2029", "line\n\tnext\\", "\u0001\b\f\u007f"})
	case reflect.Bool:
		return random.IntN(2) == 0
	case reflect.Int32, reflect.Int64:
		return pick([]any{0, 1, 30, -5, 2147483647, 420})
	case reflect.Pointer:
		return sample(t.Elem(), depth)
	case reflect.Slice:
		items := []any{}
		for range random.IntN(3) {
			items = append(items, sample(t.Elem(), depth+1))
		}
		return items
	case reflect.Map:
		entries := map[string]any{}
		for range random.IntN(4) {
			key := pick([]any{"app", "b.example.com/c", "cpu", "memory", "A", "a<b", "é", "z"}).(string)
			entries[key] = sample(t.Elem(), depth+1)
		}
		return entries
	case reflect.Struct:
		return sampleStruct(t, depth)
	default:
		fail(fmt.Errorf("no sample for %s", t))
		return nil
	}
}

func sampleStruct(t reflect.Type, depth int) any {
	fields := map[string]any{}
	var fill func(t reflect.Type)
	fill = func(t reflect.Type) {
		for i := range t.NumField() {
			field := t.Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			switch roll := random.IntN(100); {
			case field.Anonymous && name == "":
				fill(field.Type)
			case roll < 2:
				fields[name] = nil
			case depth == 0 || name == "containers" || roll < 90/(depth+2):
				fields[name] = sample(field.Type, depth+1)
			}
		}
	}
	fill(t)
	if random.IntN(6) == 0 {
		fields["notAField"] = map[string]any{"x": []any{1, nil}}
	}
	return fields
}

func pick(values []any) any { return values[random.IntN(len(values))] }

func quantitySample() string {
	number := pick([]any{
		"0", "1", "2", "5", "8", "10", "100", "500", "1000", "1024", "1536", "4096", "100000", "0.001", "0.5", "1.5",
		"1.500", "1.000", "00.10", "007", "123456789", "9223372036854775807", "9223372036854775808",
		"123456789012345678901234567890", "999999999999999999", "0.0000000001", "1.9999999999", "0.1", "12.345678901234",
		"5.", ".5", ".", "1023.99",
	}).(string)
	sign := pick([]any{"", "", "", "", "", "", "-", "+"}).(string)
	suffix := pick([]any{
		"", "", "", "m", "m", "u", "n", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "E3",
		"e0", "e1", "e2", "e-3", "e-4", "e+6", "e21", "e-12", "e09",
	}).(string)
	space := pick([]any{"", "", "", "", "", "", "", "", "", " "}).(string)
	return space + sign + number + suffix + space
}

// writeQuantities prints spellings, most of them well-formed.
func writeQuantities(out *bufio.Writer, count int) {
	for _, text := range []string{
		"", "+", "-", ".", "m", "Ki", "Ei", "e3", "e", "E", "1e", "1e-", "1E+", "1Kb", "1ki", "1K", "1i", "1Ki5", "1 Mi", "a",
		"--1", "1.2.3", "0x10", "1e99999999999999999999", "1e4294967297", "1e2147483647", "1e100", "1000E", "1e-100", "-0",
		"+5", "1_000", "١", "1mm", "0Ki", "00", "-.5Gi", "9223372036854775807Ki", "-9223372036854775808",
	} {
		fmt.Fprintln(out, text)
	}
	for range count {
		fmt.Fprintln(out, strings.TrimSpace(quantitySample()))
	}
}
