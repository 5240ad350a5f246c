using System.Collections.Immutable;
using System.Net;
using System.Text.Json;
using Ka.Protocol.Rest;
using Ka.Server.Environments;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.Tests.Server;

/// <summary>To know the digest of somebody's image is not to have it.</summary>
public sealed class KnowingADigest : IAsyncLifetime
{
    readonly RunningServer _server = new();

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    static readonly string Digest = RunningServer.Digest(RunningServer.Image());

    public ValueTask InitializeAsync() => _server.InitializeAsync();

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    static Task<HttpResponseMessage> ApplyAsync(HttpClient who, string name, string image = "{ file: i.tar }") => who.PostAsync("environments", RunningServer.Json(JsonSerializer.Serialize(
        new ApplyBody("e.yaml", $"name: {name}\nimage: {image}\nboot: {{ kernel: /boot/vmlinuz }}\n", ImmutableDictionary<string, string>.Empty.Add("i.tar", Digest)), RestJson.Default.ApplyBody)), Cancel);

    [Fact]
    public async Task Who_only_knows_the_digest_of_a_private_image_registers_nothing_on_it()
    {
        var bob = await _server.AsAsync("bob");
        Assert.Equal(HttpStatusCode.NotFound, (await bob.SendAsync(new HttpRequestMessage(HttpMethod.Head, "files/" + Digest), Cancel)).StatusCode);
        var problem = await RunningServer.ProblemOf(await ApplyAsync(bob, "stolen"));
        Assert.Contains("was not sent", problem.Detail, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.NotFound, (await _server.Http.GetAsync("environments/stolen", Cancel)).StatusCode);
    }

    [Fact]
    public async Task Who_names_an_address_for_the_digest_gets_it_only_from_there()
    {
        var bob = await _server.AsAsync("bob");
        Assert.Equal("source.refused", (await RunningServer.ProblemOf(await ApplyAsync(bob, "stolen", $"{{ file: \"http://127.0.0.1:1/i.tar\", digest: \"sha256:{Digest}\" }}"))).Code);
    }

    [Fact]
    public async Task Who_sends_the_same_bytes_registers_on_them_and_no_room_is_taken_for_them_twice()
    {
        var (bob, files) = (await _server.AsAsync("bob"), _server.App.Services.GetRequiredService<FileStore>());
        var used = files.Room.Used();
        Assert.Equal(HttpStatusCode.UnprocessableEntity, (await bob.PutAsync("files/" + Digest, new ByteArrayContent(new byte[9]), Cancel)).StatusCode);
        Assert.Equal(HttpStatusCode.UnprocessableEntity, (await ApplyAsync(bob, "mine")).StatusCode);
        Assert.Equal(HttpStatusCode.NoContent, (await bob.PutAsync("files/" + Digest, new ByteArrayContent(RunningServer.Image()), Cancel)).StatusCode);
        Assert.Equal(HttpStatusCode.Created, (await ApplyAsync(bob, "mine")).StatusCode);
        Assert.Equal(used, files.Room.Used());
    }

    [Fact]
    public async Task Who_sees_an_environment_of_an_image_registers_on_it_without_sending_it()
    {
        Assert.Equal(HttpStatusCode.OK, (await _server.PostAsync("environments/debian12/1/tags", "{\"visibility\":\"shared\"}")).StatusCode);
        var carol = await _server.AsAsync("carol");
        Assert.Equal(HttpStatusCode.NoContent, (await carol.SendAsync(new HttpRequestMessage(HttpMethod.Head, "files/" + Digest), Cancel)).StatusCode);
        Assert.Equal(HttpStatusCode.Created, (await ApplyAsync(carol, "like-it")).StatusCode);
    }

    [Fact]
    public async Task Nobody_boots_or_imports_what_they_only_know_the_digest_of()
    {
        var bob = await _server.AsAsync("bob");
        var profile = new ApplyBody("b.yaml", "kernel: i.tar\nparams: quiet\n", ImmutableDictionary<string, string>.Empty.Add("i.tar", Digest));
        var reboot = await RunningServer.ProblemOf(await bob.PostAsync("reboots", RunningServer.Json(JsonSerializer.Serialize(new RebootBody("rouge-1", DryRun: false) { BootProfile = profile }, RestJson.Default.RebootBody)), Cancel));
        Assert.Equal("profile.invalid", reboot.Code);
        Assert.Equal(HttpStatusCode.OK, (await _server.PostAsync("environments/debian12/1/tags", "{\"visibility\":\"shared\"}")).StatusCode);
        var secret = "secret"u8.ToArray();
        await _server.SendAsync(secret);
        var import = new ImportBody("stolen", 1, "", [new ImportLayer(RunningServer.Digest(secret), "none", new string('a', 64))], "debian12", null);
        var refused = await RunningServer.ProblemOf(await bob.PostAsync("environments/import", RunningServer.Json(JsonSerializer.Serialize(import, RestJson.Default.ImportBody)), Cancel));
        Assert.Equal("request.invalid", refused.Code);
        Assert.True(_server.App.Services.GetRequiredService<FileStore>().Has(RunningServer.Digest(secret)));
    }
}
