using Ka.Core.Rights;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;

namespace Ka.Server.Api;

/// <summary>The description of the API for programs (<c>/openapi/v1.json</c>) and for people (<c>/docs</c>).</summary>
static class ApiDocument
{
    /// <summary>What is the same on every server, whatever its name and version.</summary>
    public static void Describe(OpenApiOptions options)
    {
        options.OpenApiVersion = OpenApiSpecVersion.OpenApi3_1;
        options.ShouldInclude = route => route.ActionDescriptor.EndpointMetadata.OfType<RouteAccess>().Any(a => a.Audience == Audience.Users) && route.RelativePath?.StartsWith("openapi", StringComparison.Ordinal) != true;
        options.AddDocumentTransformer((document, _, _) =>
        {
            document.Info = new OpenApiInfo
            {
                Title = "Ka", Version = "v1",
                Description = "Deploys operating systems onto clusters. Refusals are problem documents (RFC 9457) with a stable code. Lists come in pages: the header Link names the next one.",
            };
            document.Servers = [];
            document.Components ??= new OpenApiComponents();
            document.Components.SecuritySchemes = new Dictionary<string, IOpenApiSecurityScheme>
            {
                ["token"] = new OpenApiSecurityScheme { Type = SecuritySchemeType.Http, Scheme = "bearer", Description = "A token of 'ka token create', or an access token of the issuer that /api/v1/auth names. On the server's Unix socket none is needed." },
                ["password"] = new OpenApiSecurityScheme { Type = SecuritySchemeType.Http, Scheme = "basic" },
                ["certificate"] = new OpenApiSecurityScheme { Type = SecuritySchemeType.MutualTLS, Description = "A client certificate of the site's authority ('authority'), whose common name is the user's." },
            };
            return Task.CompletedTask;
        });
        options.AddOperationTransformer((operation, context, _) =>
        {
            var marks = context.Description.ActionDescriptor.EndpointMetadata;
            var right = marks.OfType<RouteAccess>().Last().Right;
            operation.Description = Roles.Least(right) is { } least ? $"Needs the role {least.Word()}." : "Needs no proof of who asks.";
            if (right != Right.None)
                operation.Security = [.. new[] { "token", "password", "certificate" }.Select(s => new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference(s, context.Document)] = [] })];
            operation.Parameters ??= [];
            if (marks.OfType<KeyedRoute>().Any())
                operation.Parameters.Add(Header(OnceByKey.Header, "The same request with the same key gets the same answer for a day and is carried out once."));
            if (marks.OfType<TaggedRoute>().Any())
                operation.Parameters.Add(Header("If-None-Match", "The ETag of an earlier answer: 304 when nothing has changed."));
            if (operation.Responses?.Values.Any(r => r.Content?.ContainsKey("text/event-stream") == true) == true)
                operation.Parameters.Add(Header("Last-Event-ID", "The last event that was seen: the stream goes on after it."));
            operation.Responses ??= [];
            operation.Responses["default"] = new OpenApiResponse { Description = "A problem document (RFC 9457): code, detail, every error with its place, and what to do next." };
            return Task.CompletedTask;
        });
    }

    static OpenApiParameter Header(string name, string description) => new() { Name = name, In = ParameterLocation.Header, Description = description, Schema = new OpenApiSchema { Type = JsonSchemaType.String } };

    /// <summary>The pages of <c>/docs</c>, all of it from this server; on no listener but the people's.</summary>
    public static void UsePages(IApplicationBuilder app) => app.UseWhen(
        context => context.Features.Get<ListenerOf>() is null && context.Request.Path.StartsWithSegments("/docs"),
        pages => pages.UseSwaggerUI(ui =>
        {
            ui.RoutePrefix = "docs";
            ui.DocumentTitle = "Ka: REST API";
            ui.SwaggerEndpoint("../openapi/v1.json", "v1");
        }));
}
