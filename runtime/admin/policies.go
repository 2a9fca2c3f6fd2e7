package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
)

// maxDocument bounds a JSON body.
const maxDocument = 1 << 20

func (a *api) policyRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/policies", func(w http.ResponseWriter, r *http.Request) {
		reply(w, http.StatusOK, map[string]any{"seats": a.engine.Seats()})
	})
	mux.HandleFunc("PUT /v1/policies/{seat}", a.push)
	mux.HandleFunc("POST /v1/policies/{seat}/rollback", func(w http.ResponseWriter, r *http.Request) {
		seat, err := a.engine.Rollback(r.Context(), r.PathValue("seat"), r.RemoteAddr)
		answer(w, seat, err, http.StatusConflict)
	})
	mux.HandleFunc("GET /v1/policies/{seat}/history", func(w http.ResponseWriter, r *http.Request) {
		history, err := a.engine.History(r.PathValue("seat"))
		answer(w, map[string]any{"seat": r.PathValue("seat"), "history": history}, err, http.StatusNotFound)
	})
	mux.HandleFunc("GET /v1/decisions/{seat}", func(w http.ResponseWriter, r *http.Request) {
		decisions, err := a.engine.Decisions(r.PathValue("seat"))
		answer(w, map[string]any{"seat": r.PathValue("seat"), "decisions": decisions}, err, http.StatusNotFound)
	})
}

func answer(w http.ResponseWriter, document any, err error, status int) {
	if err != nil {
		fail(w, withStatus(err, status))
		return
	}
	reply(w, http.StatusOK, document)
}

func (a *api) push(w http.ResponseWriter, r *http.Request) {
	p, err := a.readPush(w, r)
	if err != nil {
		fail(w, withStatus(err, http.StatusBadRequest))
		return
	}
	p.Who = r.RemoteAddr
	p.Why = r.Header.Get("Perfopt-Why")
	seat, err := a.engine.Push(r.Context(), r.PathValue("seat"), p)
	answer(w, seat, err, http.StatusUnprocessableEntity)
}

// readPush reads a module, a reference, or a multipart body with both parts
// of a push.
func (a *api) readPush(w http.ResponseWriter, r *http.Request) (Push, error) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	switch kind {
	case "application/wasm":
		module, err := readBounded(http.MaxBytesReader(w, r.Body, a.options.MaxModule), "the module", a.options.MaxModule)
		return Push{Module: module}, err
	case "application/json":
		body, err := readBounded(http.MaxBytesReader(w, r.Body, maxDocument), "the body", maxDocument)
		if err != nil {
			return Push{}, err
		}
		return parseReference(body)
	case "multipart/form-data":
		body := http.MaxBytesReader(w, r.Body, a.options.MaxModule+2*maxDocument)
		return a.readMultipart(multipart.NewReader(body, params["boundary"]))
	}
	return Push{}, &Error{http.StatusUnsupportedMediaType, fmt.Errorf(
		"Content-Type %q: want application/wasm with the module, application/json with {\"use\": ...}, or multipart/form-data with the parts module and config",
		r.Header.Get("Content-Type"))}
}

func parseReference(body []byte) (Push, error) {
	var reference struct {
		Use    string         `json:"use"`
		Config map[string]any `json:"config"`
		SHA256 string         `json:"sha256"`
	}
	if err := strict(body, &reference); err != nil {
		return Push{}, fmt.Errorf("body: %w", err)
	}
	if reference.Use == "" {
		return Push{}, errors.New(`body lacks "use": want {"use": "builtin:lru"}`)
	}
	return Push{Use: reference.Use, Config: reference.Config, SHA256: reference.SHA256}, nil
}

func (a *api) readMultipart(form *multipart.Reader) (Push, error) {
	var p Push
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Push{}, fmt.Errorf("multipart body: %w", err)
		}
		switch name := part.FormName(); name {
		case "module":
			if p.Module, err = readBounded(part, "the module", a.options.MaxModule); err != nil {
				return Push{}, err
			}
		case "config":
			text, err := readBounded(part, "the config", maxDocument)
			if err != nil {
				return Push{}, err
			}
			if err := strict(text, &p.Config); err != nil {
				return Push{}, fmt.Errorf("part config: %w", err)
			}
		default:
			return Push{}, fmt.Errorf("unknown part %q: want module and config", name)
		}
	}
	if p.Module == nil {
		return Push{}, errors.New("the part module is missing")
	}
	return p, nil
}

func readBounded(r io.Reader, what string, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) || int64(len(body)) > limit {
		return nil, &Error{http.StatusRequestEntityTooLarge, fmt.Errorf("%s is larger than %d bytes (wasm.max_module)", what, limit)}
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return body, nil
}

// strict decodes one JSON value and nothing else.
func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("not the JSON expected: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}
