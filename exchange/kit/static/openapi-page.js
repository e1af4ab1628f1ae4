// Starts Swagger UI on our own description. `validatorUrl: null` keeps it from asking a validator elsewhere.
window.SwaggerUIBundle({
  url: "/schema/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  docExpansion: "list",
});
