using System.Net;
using System.Text;
using Ka.Core.Faults;
using Ka.Server.Environments;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.Tests.Server;

/// <summary>Images that the server fetches by itself, and the addresses that it stays away from.</summary>
public sealed class FetchingImages : IAsyncLifetime
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    static readonly byte[] Image = Encoding.UTF8.GetBytes("an image");
    static readonly string Digest = RunningServer.Digest(Image);

    readonly TemporaryDirectory _directory = new();
    WebApplication _app = null!;
    Uri _at = null!, _elsewhere = null!;
    int _asked;

    public async ValueTask InitializeAsync()
    {
        var builder = QuietSite.Builder();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(IPAddress.Loopback, 0);
            kestrel.Listen(IPAddress.Parse("127.0.0.2"), 0);
        });
        _app = builder.Build();
        _app.Use(async (context, next) =>
        {
            Interlocked.Increment(ref _asked);
            await next(context);
        });
        _app.MapGet("/image", () => Results.Bytes(Image));
        _app.MapGet("/chunked", async (HttpResponse reply) => await reply.Body.WriteAsync(Image, Cancel));
        _app.MapGet("/moved", () => Results.Redirect("/image"));
        _app.MapGet("/away", () => Results.Redirect(new Uri(_elsewhere, "/image").ToString()));
        _app.MapGet("/metadata", () => Results.Redirect("http://169.254.169.254/latest/meta-data"));
        _app.MapGet("/file", () => Results.Redirect("file:///etc/shadow"));
        _app.MapGet("/round", () => Results.Redirect("/round"));
        await _app.StartAsync(Cancel);
        var addresses = _app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Select(a => new Uri(a)).ToArray();
        (_at, _elsewhere) = (addresses.Single(a => a.Host == "127.0.0.1"), addresses.Single(a => a.Host == "127.0.0.2"));
    }

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync(Cancel);
        await _app.DisposeAsync();
        _directory.Dispose();
    }

    async Task<(Fault? Fault, bool Stored)> FetchAsync(string address, string? digest = null, string allow = "127.0.0.1/32", long largest = 1000)
    {
        var files = new FileStore(_directory["files"]);
        using var sources = new HttpSources(new SourcePolicy(allow.Length == 0 ? [] : [IPNetwork.Parse(allow)], largest), files);
        var fault = await sources.FetchAsync(address.StartsWith('/') ? new Uri(_at, address).ToString() : address, digest ?? Digest, Cancel);
        return (fault, files.Has(digest ?? Digest));
    }

    [Theory]
    [InlineData("/image")]
    [InlineData("/chunked")]
    [InlineData("/moved")]
    public async Task What_has_the_pinned_digest_is_kept(string path) => Assert.Equal((null, true), await FetchAsync(path));

    [Fact]
    public async Task What_is_fetched_for_a_description_is_told_with_its_address_and_what_whoever_registers_has_is_left()
    {
        var address = new Uri(_at, "/image").ToString();
        var (description, _) = DescriptionReader.Read("e.yaml", $"name: e\nimage: {{ file: \"{address}\", digest: \"sha256:{Digest}\" }}\n");
        using var sources = new HttpSources(new SourcePolicy([IPNetwork.Parse("127.0.0.1/32")], 1000), new FileStore(_directory["files"]));
        var fetched = new List<(string, string)>();
        foreach (var has in (bool[])[false, true])
        {
            var (digests, refused) = await sources.FetchAsync(description!, System.Collections.Immutable.ImmutableDictionary<string, string>.Empty, _ => has, (d, from) => fetched.Add((d, from)), Cancel);
            Assert.Equal((null, Digest), (refused, digests[address]));
        }
        Assert.Equal([(Digest, address)], fetched);
        Assert.Equal(1, _asked);
    }

    [Fact]
    public async Task Other_bytes_are_not_kept()
    {
        var (fault, stored) = await FetchAsync("/image", new string('a', 64));
        Assert.Equal((FaultCodes.ArchiveDigest, false), (fault!.Code, stored));
    }

    [Theory]
    [InlineData("/image")]
    [InlineData("/chunked")]
    public async Task More_bytes_than_the_site_allows_are_not_kept(string path)
    {
        var (fault, stored) = await FetchAsync(path, largest: 5);
        Assert.Equal((FaultCodes.RequestTooLarge, false), (fault!.Code, stored));
    }

    [Theory]
    [InlineData("/away", "source.refused")]
    [InlineData("/metadata", "source.refused")]
    [InlineData("/file", "source.refused")]
    [InlineData("http://me:secret@127.0.0.1/x", "source.refused")]
    [InlineData("/round", "source.failed")]
    [InlineData("/nothing", "source.failed")]
    [InlineData("http://127.0.0.1:1/x", "source.failed")]
    public async Task A_redirect_or_address_that_leads_astray_is_refused(string path, string code) => Assert.Equal((code, false), ((await FetchAsync(path)).Fault!.Code.Text, (await FetchAsync(path)).Stored));

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("localhost")]
    [InlineData("[::ffff:127.0.0.1]")]
    [InlineData("2130706433")]
    [InlineData("0x7f.1")]
    public async Task However_it_is_written_this_machine_is_not_asked_unless_the_site_allows_it(string host)
    {
        Assert.Equal(FaultCodes.SourceRefused, (await FetchAsync($"http://{host}:{_at.Port}/image", allow: "")).Fault!.Code);
        Assert.Equal(0, _asked);
    }

    [Theory]
    [InlineData("8.8.8.8", true)]
    [InlineData("2606:4700::1111", true)]
    [InlineData("10.1.2.3", false)]
    [InlineData("172.31.0.1", false)]
    [InlineData("192.168.7.7", false)]
    [InlineData("169.254.169.254", false)]
    [InlineData("100.64.0.1", false)]
    [InlineData("0.0.0.0", false)]
    [InlineData("224.0.0.1", false)]
    [InlineData("255.255.255.255", false)]
    [InlineData("::1", false)]
    [InlineData("::", false)]
    [InlineData("fe80::1", false)]
    [InlineData("fd00::1", false)]
    [InlineData("ff02::1", false)]
    [InlineData("::ffff:10.0.0.1", false)]
    [InlineData("64:ff9b::a00:1", false)]
    [InlineData("2002:a00:1::", false)]
    [InlineData("2001:db8::1", false)]
    public void Only_the_public_Internet_is_reached_without_being_allowed(string address, bool allowed) =>
        Assert.Equal(allowed, SourcePolicy.Default.Allows(IPAddress.Parse(address)));

    [Theory]
    [InlineData("image: { file: \"https://x.example/i.tar\" }", "an image that is fetched needs its digest")]
    [InlineData("image: { file: i.tar }\npostinstalls: [{ archive: \"http://x.example/p.tgz\" }]", "only images are fetched")]
    public void A_description_pins_what_is_fetched(string text, string why)
    {
        var (description, errors) = DescriptionReader.Read("e.yaml", $"name: e\n{text}\n");
        Assert.Null(description);
        Assert.Contains(why, Assert.Single(errors).Message, StringComparison.Ordinal);
    }
}

/// <summary>Descriptions that name their image by its address, over the API.</summary>
public sealed class RegisteringByAddress(RunningServer server) : IClassFixture<RunningServer>
{
    static string Described(string address) => $"name: fetched\nimage:\n  file: {address}\n  digest: sha256:{RunningServer.Digest(RunningServer.Image())}\nboot: {{ kernel: /boot/vmlinuz }}\n";

    Task<HttpResponseMessage> ApplyAsync(string text, string path = "environments") => server.PostAsync(path, System.Text.Json.JsonSerializer.Serialize(
        new Ka.Protocol.Rest.ApplyBody("e.yaml", text, System.Collections.Immutable.ImmutableDictionary<string, string>.Empty), Ka.Protocol.Rest.RestJson.Default.ApplyBody));

    [Fact]
    public async Task An_image_that_the_store_has_under_the_pinned_digest_is_not_fetched_again() =>
        Assert.Equal(HttpStatusCode.Created, (await ApplyAsync(Described("http://127.0.0.1:1/debian12.tar"))).StatusCode);

    [Fact]
    public async Task A_refused_address_is_told_with_its_place()
    {
        var problem = await RunningServer.ProblemOf(await ApplyAsync($"name: e\nimage: {{ file: \"http://127.0.0.1:1/x.tar\", digest: \"sha256:{new string('d', 64)}\" }}\n"));
        Assert.Equal(("source.refused", "e.yaml:2:16"), (problem.Code, Assert.Single(problem.Errors!.Value).Pointer));
    }

    [Fact]
    public async Task The_client_is_not_asked_for_what_the_server_fetches()
    {
        var reply = await ApplyAsync(Described("https://x.example/debian12.tar"), "environments/files");
        Assert.Contains("\"paths\":[]", await reply.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }
}
