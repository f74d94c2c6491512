// The page at /api/schema/view: Swagger UI over our schema.

const element = document.getElementById("swagger-ui");

SwaggerUIBundle({
  url: element.dataset.schemaUrl,
  domNode: element,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  requestInterceptor(request) {
    if (request.method && request.method !== "GET") {
      request.headers["X-CSRFToken"] = element.dataset.csrfToken;
    }
    return request;
  },
});
