package proxy

// scanner follows the bytes of an HTTP/1 connection from the client and finds
// the first that two servers could read differently: bare CR and LF, folded
// lines, white space around a field's name, control bytes, a length said twice
// or together with a transfer coding, a transfer coding other than chunked or
// in HTTP/1.0, chunks that are not framed to the letter. To find where the next
// head begins it follows contents too. What it lets pass, net/http may still
// refuse. Not safe for concurrent use.
type scanner struct {
	state scanState
	part  int // bytes seen of the present token, or digits of the present number

	old       bool // HTTP/1.0
	hasLength bool
	chunked   bool
	trailer   bool // the fields are those after the last chunk

	known  knownField
	name   [len("transfer-encoding")]byte // of the present field, in lower case, as far as it fits
	value  [24]byte                       // of the present field, if it is a known one
	length int64                          // of the content, or of the present chunk
}

type scanState uint8

const (
	scanStart       scanState = iota // before the first byte of a request
	scanMethod                       // in the method
	scanTarget                       // in the target
	scanVersion                      // in the version
	scanLineLF                       // the request line's LF comes next
	scanFieldStart                   // a field's name or the empty line comes next
	scanName                         // in a field's name
	scanValue                        // in a field's value
	scanValueLF                      // the field's LF comes next
	scanEndLF                        // the empty line's LF comes next
	scanContent                      // in content of known length
	scanChunkSize                    // in a chunk's size
	scanChunkExt                     // in what follows a size
	scanChunkSizeLF                  // the size's LF comes next
	scanChunk                        // in a chunk
	scanChunkCR                      // the chunk's CR comes next
	scanChunkLF                      // the chunk's LF comes next
	scanBad                          // nothing more is accepted
)

type knownField uint8

const (
	otherField knownField = iota
	lengthField
	codingField
)

const (
	maxMethod   = 32
	maxChunkExt = 256
)

// atStart reports whether the next byte begins a request.
func (s *scanner) atStart() bool { return s.state == scanStart }

// feed follows b and returns how many of its bytes may be passed on: all, or
// those before the first bad one.
func (s *scanner) feed(b []byte) int {
	for i := 0; i < len(b); i++ {
		if s.state == scanContent || s.state == scanChunk {
			// Content may be anything: skip it at once.
			n := int(min(s.length, int64(len(b)-i)))
			s.length -= int64(n)
			i += n - 1
			if s.length == 0 {
				s.contentEnd()
			}
			continue
		}
		if !s.next(b[i]) {
			s.state = scanBad
			return i
		}
	}
	return len(b)
}

func (s *scanner) contentEnd() {
	if s.state == scanChunk {
		s.state = scanChunkCR
	} else {
		*s = scanner{}
	}
}

// next takes one byte that is not content.
func (s *scanner) next(c byte) bool {
	switch s.state {
	case scanStart, scanMethod:
		return s.method(c)
	case scanTarget:
		if c == ' ' && s.part > 0 {
			s.state, s.part = scanVersion, 0
			return true
		}
		s.part++
		return c > ' ' && c != 0x7f
	case scanVersion:
		return s.version(c)
	case scanLineLF:
		s.state = scanFieldStart
		return c == '\n'
	case scanFieldStart:
		if c == '\r' {
			s.state = scanEndLF
			return true
		}
		s.state, s.part = scanName, 0
		return s.fieldName(c)
	case scanName:
		return s.fieldName(c)
	case scanValue:
		return s.fieldValue(c)
	case scanValueLF:
		s.state = scanFieldStart
		return c == '\n' && s.fieldEnd()
	case scanEndLF:
		return c == '\n' && s.headEnd()
	case scanBad:
		return false
	}
	return s.chunkFraming(c)
}

func (s *scanner) method(c byte) bool {
	if s.state == scanMethod && c == ' ' {
		s.state, s.part = scanTarget, 0
		return true
	}
	s.state = scanMethod
	s.part++
	return isTokenByte(c) && s.part <= maxMethod
}

func (s *scanner) version(c byte) bool {
	const version = "HTTP/1."
	switch {
	case s.part < len(version):
		s.part++
		return c == version[s.part-1]
	case s.part == len(version):
		s.part++
		s.old = c == '0'
		return c == '0' || c == '1'
	}
	s.state = scanLineLF
	return c == '\r'
}

func (s *scanner) fieldName(c byte) bool {
	if c == ':' && s.part > 0 {
		s.state = scanValue
		s.known = otherField
		if s.part <= len(s.name) {
			switch string(s.name[:s.part]) {
			case "content-length":
				s.known = lengthField
			case "transfer-encoding":
				s.known = codingField
			}
		}
		s.part = 0
		return true
	}
	if s.part < len(s.name) {
		s.name[s.part] = lower(c)
	}
	s.part++
	return tokenTable[c]
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func (s *scanner) fieldValue(c byte) bool {
	if c == '\r' {
		s.state = scanValueLF
		return true
	}
	if s.known != otherField {
		if s.part == 0 && (c == ' ' || c == '\t') {
			return true
		}
		if s.part == len(s.value) {
			return false
		}
		s.value[s.part] = lower(c)
		s.part++
	}
	return c >= ' ' && c != 0x7f || c == '\t'
}

// fieldEnd judges a known field.
func (s *scanner) fieldEnd() bool {
	value := s.value[:s.part]
	for len(value) > 0 && (value[len(value)-1] == ' ' || value[len(value)-1] == '\t') {
		value = value[:len(value)-1]
	}
	switch s.known {
	case lengthField:
		if s.trailer || s.hasLength || len(value) == 0 || len(value) > 18 {
			return false
		}
		s.hasLength = true
		s.length = 0
		for _, c := range value {
			if c < '0' || c > '9' {
				return false
			}
			s.length = s.length*10 + int64(c-'0')
		}
	case codingField:
		if s.trailer || s.chunked || string(value) != "chunked" {
			return false
		}
		s.chunked = true
	}
	return true
}

func (s *scanner) headEnd() bool {
	switch {
	case s.trailer:
		*s = scanner{}
	case s.chunked && (s.hasLength || s.old):
		return false
	case s.chunked:
		s.state, s.part, s.length = scanChunkSize, 0, 0
	case s.hasLength && s.length > 0:
		s.state = scanContent
	default:
		*s = scanner{}
	}
	return true
}

func (s *scanner) chunkFraming(c byte) bool {
	switch s.state {
	case scanChunkSize:
		return s.chunkSize(c)
	case scanChunkExt:
		if c == '\r' {
			s.state = scanChunkSizeLF
			return true
		}
		s.part++
		return (c >= ' ' && c != 0x7f || c == '\t') && s.part <= maxChunkExt
	case scanChunkSizeLF:
		if s.length == 0 {
			s.state, s.trailer = scanFieldStart, true
		} else {
			s.state = scanChunk
		}
		return c == '\n'
	case scanChunkCR:
		s.state = scanChunkLF
		return c == '\r'
	case scanChunkLF:
		s.state, s.part, s.length = scanChunkSize, 0, 0
		return c == '\n'
	}
	return false
}

func (s *scanner) chunkSize(c byte) bool {
	digit := int64(-1)
	switch l := lower(c); {
	case l >= '0' && l <= '9':
		digit = int64(l - '0')
	case l >= 'a' && l <= 'f':
		digit = int64(l-'a') + 10
	}
	switch {
	case digit >= 0:
		s.part++
		s.length = s.length<<4 | digit
		return s.part <= 15
	case s.part == 0:
		return false
	case c == '\r':
		s.state = scanChunkSizeLF
		return true
	case c == ';':
		s.state, s.part = scanChunkExt, 0
		return true
	}
	return false
}
