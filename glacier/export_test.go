package glacier

import "net/http"

// Transport returns the transport that options make.
func Transport(o *Options) *http.Transport { return o.transport().(*http.Transport) }
