// Redoc on our own document.
Redoc.init("/api/v1/openapi.json", { disableSearch: false, hideDownloadButtons: false }, document.getElementById("redoc"));
