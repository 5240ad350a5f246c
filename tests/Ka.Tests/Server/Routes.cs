using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Ka.Core.Rights;
using Ka.Protocol.Rest;
using Ka.Server.Api;
using Microsoft.AspNetCore.Routing;

namespace Ka.Tests.Server;

/// <summary>What every route answers to every role, as a table that a person can read; made anew by UPDATE_GOLDEN=1.</summary>
public sealed partial class Routes(RunningServer server) : IClassFixture<RunningServer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    RouteEndpoint[] All => [.. ((IEndpointRouteBuilder)server.App).DataSources.SelectMany(d => d.Endpoints).OfType<RouteEndpoint>()];

    [Fact]
    public void Every_route_says_for_whom_it_is_and_what_right_it_needs()
    {
        Assert.True(All.Length > 25);
        Assert.All(All, route => Assert.True(route.Metadata.GetMetadata<RouteAccess>() is not null, route.DisplayName));
    }

    [Fact]
    public async Task Every_route_answers_each_role_as_the_table_says()
    {
        var people = new List<(string Name, Role? Role, HttpClient Http)> { ("nobody", null, server.WithoutToken) };
        foreach (var (name, role) in ((string, Role)[])[("vera", Role.Viewer), ("alice", Role.User), ("olga", Role.Operator), ("root", Role.Admin)])
            people.Add((role.Word(), role, await server.AsAsync(name)));
        var table = new StringBuilder();
        foreach (var (method, path, route) in Calls())
        {
            var access = route.Metadata.GetMetadata<RouteAccess>()!;
            var answers = new List<string>();
            foreach (var (name, role, http) in people)
            {
                var reply = await http.SendAsync(new HttpRequestMessage(new HttpMethod(method), path) { Content = method is "GET" or "HEAD" ? null : RunningServer.Json("{}") }, HttpCompletionOption.ResponseHeadersRead, Cancel);
                var status = (int)reply.StatusCode;
                Assert.True(status < 500, $"{method} {path} as {name}: {status}");
                if (access.Audience != Audience.Users)
                    Assert.Equal(404, status);
                else if (Roles.Least(access.Right) is { } least)
                {
                    Assert.Equal(role is null, status == 401);
                    Assert.Equal(role is { } mine && mine < least, status == 403 && (method == "HEAD" || await CodeOf(reply) == "rights.role"));
                }
                answers.Add($"{name} {status}{(status >= 400 && method != "HEAD" && await CodeOf(reply) is { } code ? " " + code : "")}");
            }
            table.Append($"{method} {path}  [{access.Right}]\n    {string.Join(" | ", answers)}\n");
        }
        Golden("routes", table.ToString());
    }

    [Fact]
    public async Task A_method_that_a_path_does_not_have_is_not_found_whoever_asks()
    {
        var calls = Calls().Select(c => (c.Method, c.Path)).ToHashSet();
        foreach (var path in calls.Select(c => c.Path).Distinct())
            foreach (var method in ((string[])["PATCH", "TRACE", "OPTIONS"]).Where(m => !calls.Contains((m, path))))
                Assert.Equal(404, (int)(await server.Http.SendAsync(new HttpRequestMessage(new HttpMethod(method), path), Cancel)).StatusCode);
    }

    IEnumerable<(string Method, string Path, RouteEndpoint Route)> Calls() =>
        from route in All
        let path = "/" + Parameter().Replace(route.RoutePattern.RawText!, m => m.Value.Contains(":int", StringComparison.Ordinal) ? "1" : "x").TrimStart('/')
        from method in route.Metadata.GetMetadata<HttpMethodMetadata>()?.HttpMethods ?? ["GET"]
        orderby path, method
        select (method, path, route);

    static async Task<string?> CodeOf(HttpResponseMessage reply) => reply.Content.Headers.ContentType?.MediaType == "application/problem+json"
        ? JsonSerializer.Deserialize(await reply.Content.ReadAsStringAsync(Cancel), RestJson.Default.Problem)!.Code
        : null;

    static void Golden(string name, string text, [CallerFilePath] string here = "")
    {
        var path = Path.Combine(Path.GetDirectoryName(here)!, "golden", name + ".txt");
        if (Environment.GetEnvironmentVariable("UPDATE_GOLDEN") == "1")
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, text);
        }
        Assert.Equal(File.ReadAllText(path), text);
    }

    [GeneratedRegex(@"\{[^}]*\}")]
    private static partial Regex Parameter();
}
