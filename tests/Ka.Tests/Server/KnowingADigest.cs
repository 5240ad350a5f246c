using System.Collections.Immutable;
using System.Net;
using System.Text.Json;
using Ka.Protocol.Rest;
using Ka.Server.Environments;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.Tests.Server;

/// <summary>To know the digest of somebody's image is not to have it.</summary>
public sealed class KnowingADigest(RunningServer server) : IClassFixture<RunningServer>
{

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    static readonly string Digest = RunningServer.Digest(RunningServer.Image());

    static Task<HttpResponseMessage> ApplyAsync(HttpClient who, string name, string image = "{ file: i.tar }") => who.PostAsync("environments", RunningServer.Json(JsonSerializer.Serialize(
        new ApplyBody("e.yaml", $"name: {name}\nimage: {image}\nboot: {{ kernel: /boot/vmlinuz }}\n", ImmutableDictionary<string, string>.Empty.Add("i.tar", Digest)), RestJson.Default.ApplyBody)), Cancel);

    async Task SetAsync(string visibility) => Assert.Equal(HttpStatusCode.OK, (await server.PostAsync("environments/debian12/1/tags", $"{{\"visibility\":\"{visibility}\"}}")).StatusCode);

    [Fact]
    public async Task Who_only_knows_the_digest_of_a_private_image_registers_nothing_on_it()
    {
        var bob = await server.AsAsync("bob");
        Assert.Equal(HttpStatusCode.NotFound, (await bob.SendAsync(new HttpRequestMessage(HttpMethod.Head, "files/" + Digest), Cancel)).StatusCode);
        var problem = await RunningServer.ProblemOf(await ApplyAsync(bob, "stolen"));
        Assert.Contains("was not sent", problem.Detail, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.NotFound, (await server.Http.GetAsync("environments/stolen", Cancel)).StatusCode);
    }

    [Fact]
    public async Task Who_names_an_address_for_the_digest_gets_it_only_from_there()
    {
        var bob = await server.AsAsync("bob");
        Assert.Equal("source.refused", (await RunningServer.ProblemOf(await ApplyAsync(bob, "stolen", $"{{ file: \"http://127.0.0.1:1/i.tar\", digest: \"sha256:{Digest}\" }}"))).Code);
    }

    [Fact]
    public async Task Who_sends_the_same_bytes_registers_on_them_and_no_room_is_taken_for_them_twice()
    {
        var (dave, files) = (await server.AsAsync("dave"), server.App.Services.GetRequiredService<FileStore>());
        var used = files.Room.Used();
        Assert.Equal(HttpStatusCode.UnprocessableEntity, (await dave.PutAsync("files/" + Digest, new ByteArrayContent(new byte[9]), Cancel)).StatusCode);
        Assert.Equal(HttpStatusCode.UnprocessableEntity, (await ApplyAsync(dave, "mine")).StatusCode);
        Assert.Equal(HttpStatusCode.NoContent, (await dave.PutAsync("files/" + Digest, new ByteArrayContent(RunningServer.Image()), Cancel)).StatusCode);
        Assert.Equal(HttpStatusCode.Created, (await ApplyAsync(dave, "mine")).StatusCode);
        Assert.Equal(used, files.Room.Used());
    }

    [Fact]
    public async Task Who_sees_an_environment_of_an_image_registers_on_it_without_sending_it()
    {
        await SetAsync("shared");
        var carol = await server.AsAsync("carol");
        Assert.Equal(HttpStatusCode.NoContent, (await carol.SendAsync(new HttpRequestMessage(HttpMethod.Head, "files/" + Digest), Cancel)).StatusCode);
        Assert.Equal(HttpStatusCode.Created, (await ApplyAsync(carol, "like-it")).StatusCode);
        await SetAsync("private");
    }

    [Fact]
    public async Task Nobody_boots_or_imports_what_they_only_know_the_digest_of()
    {
        var bob = await server.AsAsync("bob");
        var profile = new ApplyBody("b.yaml", "kernel: i.tar\nparams: quiet\n", ImmutableDictionary<string, string>.Empty.Add("i.tar", Digest));
        var reboot = await RunningServer.ProblemOf(await bob.PostAsync("reboots", RunningServer.Json(JsonSerializer.Serialize(new RebootBody("rouge-1", DryRun: false) { BootProfile = profile }, RestJson.Default.RebootBody)), Cancel));
        Assert.Equal("profile.invalid", reboot.Code);
        await SetAsync("shared");
        var secret = "secret"u8.ToArray();
        await server.SendAsync(secret);
        var import = new ImportBody("stolen", 1, "", [new ImportLayer(RunningServer.Digest(secret), "none", new string('a', 64))], "debian12", null);
        var refused = await RunningServer.ProblemOf(await bob.PostAsync("environments/import", RunningServer.Json(JsonSerializer.Serialize(import, RestJson.Default.ImportBody)), Cancel));
        Assert.Equal("request.invalid", refused.Code);
        Assert.True(server.App.Services.GetRequiredService<FileStore>().Has(RunningServer.Digest(secret)));
        await SetAsync("private");
    }
}
