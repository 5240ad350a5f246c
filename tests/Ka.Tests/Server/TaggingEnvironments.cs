using System.Collections.Immutable;
using System.Net;
using System.Text;
using System.Text.Json;
using Ka.Core.Environments;
using Ka.Protocol.Rest;
using Ka.Server.Environments;
using Ka.Store;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.Tests.Server;

/// <summary>What is said of registered environments, how they differ, and how they leave the catalogue as files.</summary>
public sealed class TaggingEnvironments(RunningServer server) : IClassFixture<RunningServer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    const string Rich = """
        name: rich
        version: 3
        description: "with \"everything\": 1"
        author: ä<b>
        visibility: shared
        labels: { team: hpc, kind: "" }
        image: { file: debian12.tar }
        filesystem: xfs
        boot: { kernel: /boot/vmlinuz, params: "quiet console=ttyS0", loader: grub }
        network: ifupdown
        postinstalls:
          - { script: "post.sh a b", timeout: 90s }
        custom_variables: { COLOUR: "blue\tsky" }
        files:
          /etc/motd: "welcome to {{node.name}}\n"
          /etc/x.sh: { text: "A={{node.name}}\n", mode: "0700" }
        """;

    static readonly byte[] Script = Encoding.UTF8.GetBytes("#!/bin/sh\n");

    Task<HttpResponseMessage> ApplyAsync(string text, ImmutableDictionary<string, string>? files = null) => server.PostAsync(
        "environments",
        JsonSerializer.Serialize(
            new ApplyBody("e.yaml", text, files ?? ImmutableDictionary<string, string>.Empty.Add("debian12.tar", RunningServer.Digest(RunningServer.Image())).Add("post.sh", RunningServer.Digest(Script))),
            RestJson.Default.ApplyBody));

    async Task<EnvironmentReply> TagAsync(string environment, string body, HttpClient? who = null)
    {
        var reply = await (who ?? server.Http).PostAsync($"environments/{environment}/tags", RunningServer.Json(body), Cancel);
        Assert.Equal(HttpStatusCode.OK, reply.StatusCode);
        return JsonSerializer.Deserialize(await reply.Content.ReadAsStringAsync(Cancel), RestJson.Default.EnvironmentReply)!;
    }

    async Task<ApplyReply> AppliedAsync(HttpResponseMessage reply)
    {
        Assert.True(reply.IsSuccessStatusCode, await reply.Content.ReadAsStringAsync(Cancel));
        return JsonSerializer.Deserialize(await reply.Content.ReadAsStringAsync(Cancel), RestJson.Default.ApplyReply)!;
    }

    async Task<T> GetAsync<T>(string path, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type) => JsonSerializer.Deserialize(await server.Http.GetStringAsync(path, Cancel), type)!;

    static string Named(string name, string more = "") => $"name: {name}\nimage: {{ file: debian12.tar }}\nboot: {{ kernel: /boot/vmlinuz }}\n{more}";

    [Fact]
    public async Task Tags_change_without_another_version_and_a_description_with_others_updates_them()
    {
        await AppliedAsync(await ApplyAsync(Named("tagged", "labels: { team: hpc }\n")));
        var tagged = await TagAsync("tagged/1", "{\"visibility\":\"public\",\"toggleDestructive\":true,\"alias\":\"latest-tagged\",\"labels\":{\"site\":\"rennes\",\"team\":null}}");
        Assert.Equal(("public", true, "latest-tagged", "site=rennes"), (tagged.Visibility, tagged.Destructive, tagged.Alias, string.Join(' ', tagged.Labels.Select(l => $"{l.Key}={l.Value}"))));
        Assert.False((await TagAsync("tagged/1", "{\"toggleDestructive\":true}")).Destructive);
        Assert.Equal("tagged", (await GetAsync("environments/latest-tagged", RestJson.Default.EnvironmentReply)).Name);
        var again = await AppliedAsync(await ApplyAsync(Named("tagged", "labels: { team: hpc }\ndestructive: true\n")));
        Assert.Equal(("updated", true), (again.Change, again.Environment.Destructive));
        Assert.Equal("unchanged", (await AppliedAsync(await ApplyAsync(Named("tagged", "labels: { team: hpc }\ndestructive: true\n")))).Change);
        Assert.Equal(HttpStatusCode.Conflict, (await ApplyAsync(Named("tagged", "author: somebody\n"))).StatusCode);
    }

    [Fact]
    public async Task What_a_description_does_not_name_stays_as_it_was_set()
    {
        await AppliedAsync(await ApplyAsync(Named("kept-tags", "labels: { team: hpc }\n")));
        await TagAsync("kept-tags/1", "{\"visibility\":\"shared\",\"destructive\":true,\"alias\":\"kept-alias\",\"labels\":{\"site\":\"rennes\"}}");
        var silent = await AppliedAsync(await ApplyAsync(Named("kept-tags")));
        Assert.Equal(("unchanged", "shared", true, "kept-alias", 2), (silent.Change, silent.Environment.Visibility, silent.Environment.Destructive, silent.Environment.Alias, silent.Environment.Labels.Count));
        var named = await AppliedAsync(await ApplyAsync(Named("kept-tags", "visibility: private\nlabels: {}\n")));
        Assert.Equal(("updated", "private", true, "kept-alias", 0), (named.Change, named.Environment.Visibility, named.Environment.Destructive, named.Environment.Alias, named.Environment.Labels.Count));
    }

    [Fact]
    public async Task An_environment_is_removed_by_its_alias_too()
    {
        await AppliedAsync(await ApplyAsync(Named("passing", "alias: short-lived\n")));
        Assert.Equal(HttpStatusCode.NoContent, (await server.Http.DeleteAsync("environments/short-lived/1", Cancel)).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await server.Http.GetAsync("environments/passing", Cancel)).StatusCode);
    }

    [Theory]
    [InlineData("{\"visibility\":\"secret\"}", "request.invalid")]
    [InlineData("{\"alias\":\"../x\"}", "request.invalid")]
    [InlineData("{\"alias\":\"taken-alias\"}", "environment.exists")]
    [InlineData("{\"alias\":\"taken\"}", "environment.exists")]
    [InlineData("{\"labels\":{\"a b\":\"c\"}}", "request.invalid")]
    [InlineData("{\"labels\":{\"a\":\"line\\nbreak\"}}", "request.invalid")]
    public async Task Tags_that_cannot_be_are_refused_and_nothing_changes(string body, string code)
    {
        await AppliedAsync(await ApplyAsync(Named("taken", "alias: taken-alias\n")));
        await AppliedAsync(await ApplyAsync(Named("plain")));
        var before = await server.Http.GetStringAsync("environments/plain", Cancel);
        Assert.Equal(code, (await RunningServer.ProblemOf(await server.PostAsync("environments/plain/1/tags", body))).Code);
        Assert.Equal(before, await server.Http.GetStringAsync("environments/plain", Cancel));
    }

    [Fact]
    public async Task Users_tag_their_own_and_only_operators_make_public()
    {
        var alice = await server.AsAsync("alice");
        Assert.True((await alice.PutAsync("files/" + RunningServer.Digest(RunningServer.Image()), new ByteArrayContent(RunningServer.Image()), Cancel)).IsSuccessStatusCode);
        var applied = await alice.PostAsync("environments", RunningServer.Json(JsonSerializer.Serialize(
            new ApplyBody("e.yaml", Named("of-alice"), ImmutableDictionary<string, string>.Empty.Add("debian12.tar", RunningServer.Digest(RunningServer.Image()))), RestJson.Default.ApplyBody)), Cancel);
        Assert.Equal(HttpStatusCode.Created, applied.StatusCode);
        Assert.Equal("shared", (await TagAsync("of-alice/1", "{\"visibility\":\"shared\"}", alice)).Visibility);
        Assert.Equal(HttpStatusCode.Forbidden, (await alice.PostAsync("environments/of-alice/1/tags", RunningServer.Json("{\"visibility\":\"public\"}"), Cancel)).StatusCode);
        var bob = await server.AsAsync("bob");
        Assert.Equal("rights.missing", (await RunningServer.ProblemOf(await bob.PostAsync("environments/of-alice/1/tags", RunningServer.Json("{\"destructive\":true}"), Cancel))).Code);
    }

    [Fact]
    public async Task Environments_are_listed_by_their_labels()
    {
        await AppliedAsync(await ApplyAsync(Named("label-one", "labels: { fruit: apple, size: big }\n")));
        await AppliedAsync(await ApplyAsync(Named("label-two", "labels: { fruit: pear }\n")));
        async Task<string[]> Listed(string query) => [.. (await GetAsync("environments?" + query, RestJson.Default.EnvironmentReplyArray)).Select(e => e.Name)];
        Assert.Equal(["label-one", "label-two"], await Listed("label=fruit"));
        Assert.Equal(["label-one"], await Listed("label=fruit%3Dapple&label=size"));
        Assert.Empty(await Listed("label=fruit%3Dcherry"));
    }

    [Fact]
    public async Task Two_versions_are_compared_key_by_key()
    {
        await AppliedAsync(await ApplyAsync(Named("compared", "labels: { team: hpc }\n")));
        await AppliedAsync(await ApplyAsync("name: compared\nversion: 2\nimage: { file: debian12.tar }\nboot: { kernel: /boot/vmlinuz, params: quiet }\n"));
        var diff = await GetAsync("environments/compared/diff?version=1&other=compared:2", RestJson.Default.DiffReply);
        Assert.Equal(("compared:1", "compared:2"), (diff.Left, diff.Right));
        Assert.Equal([("labels.team", "hpc", ""), ("params", "", "quiet")], diff.Differences.Select(d => (d.Key, d.Left, d.Right)));
        Assert.Empty((await GetAsync("environments/compared/diff?other=compared", RestJson.Default.DiffReply)).Differences);
        Assert.Equal(HttpStatusCode.NotFound, (await server.Http.GetAsync("environments/compared/diff?other=nothing", Cancel)).StatusCode);
    }

    [Fact]
    public async Task A_description_is_compared_with_what_is_registered_without_sending_its_files()
    {
        await AppliedAsync(await ApplyAsync("name: described\nimage: { file: debian12.tar }\n"));
        async Task<DiffReply> Against(string text, string digest)
        {
            var reply = await server.PostAsync("environments/described/diff", JsonSerializer.Serialize(
                new ApplyBody("d.yaml", text, ImmutableDictionary<string, string>.Empty.Add("debian12.tar", digest)), RestJson.Default.ApplyBody));
            return JsonSerializer.Deserialize(await reply.Content.ReadAsStringAsync(Cancel), RestJson.Default.DiffReply)!;
        }
        // The kernel was found in the image: a description that is silent about it says the same.
        Assert.Empty((await Against("name: described\nimage: { file: debian12.tar }\n", RunningServer.Digest(RunningServer.Image()))).Differences);
        var other = await Against("name: described\nimage: { file: debian12.tar }\ndestructive: true\n", new string('b', 64));
        Assert.Equal(["destructive", "image", "initrd", "kernel"], other.Differences.Select(d => d.Key));
    }

    [Fact]
    public async Task What_is_exported_registers_as_the_same_again()
    {
        await server.SendAsync(Script);
        await AppliedAsync(await ApplyAsync(Rich));
        var before = server.App.Services.GetRequiredService<EnvironmentCatalogue>().Find("rich", 3)!;
        var export = await GetAsync("environments/rich/export", RestJson.Default.ExportReply);
        Assert.Equal(("rich", 3), (export.Name, export.Version));
        foreach (var sha256 in export.Files.Values)
            Assert.Equal(sha256, RunningServer.Digest(await server.Http.GetByteArrayAsync($"environments/rich/3/content/{sha256}", Cancel)));
        Assert.Equal("unchanged", (await AppliedAsync(await ApplyAsync(export.Text, export.Files))).Change);
        var renamed = await AppliedAsync(await ApplyAsync(export.Text.Replace("name: \"rich\"", "name: \"rich-again\"", StringComparison.Ordinal), export.Files));
        Assert.Equal("created", renamed.Change);
        var after = server.App.Services.GetRequiredService<EnvironmentCatalogue>().Find("rich-again", 3)!;
        Assert.True(Registrar.SameContent(before, after) && Registrar.SameTags(before, after), export.Text);
    }

    [Fact]
    public async Task Files_that_are_not_of_an_environment_somebody_sees_are_not_given_out()
    {
        await AppliedAsync(await ApplyAsync(Named("hidden")));
        var digest = RunningServer.Digest(RunningServer.Image());
        var alice = await server.AsAsync("alice");
        Assert.Equal(HttpStatusCode.NotFound, (await alice.GetAsync($"environments/hidden/1/content/{digest}", Cancel)).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await server.Http.GetAsync($"environments/hidden/1/content/{new string('c', 64)}", Cancel)).StatusCode);
    }

    [Fact]
    public void A_disk_image_is_written_as_it_was_described()
    {
        var raw = new Image(new string('1', 64), 10, ImageKind.Raw, ImageCompression.Zstd, 20, new RawImage(RawTarget.Disk, new string('2', 64), default, Grow: true));
        var qcow2 = new Image(new string('3', 64), 10, ImageKind.Raw, ImageCompression.Zstd, 20, new RawImage(RawTarget.Disk, new string('4', 64), default, SourceSha256: new string('5', 64), CloudInit: true));
        var environment = Ka.Simulation.SimulatedDeployment.SampleEnvironment with { Image = raw, Boot = new BootSpec("", null, []), Parts = [new ImagePart("data", raw with { Raw = raw.Raw! with { Target = RawTarget.Partition } })] };
        foreach (var (image, kind, given) in ((Image, string, char)[])[(raw, "raw", '1'), (qcow2, "qcow2", '5')])
        {
            var written = DescriptionWriter.Write(environment with { Image = image });
            var (description, errors) = DescriptionReader.Read("e.yaml", written.Text);
            Assert.Empty(errors.Select(e => e.Render(written.Text)));
            Assert.Equal((new string(given, 64), RawTarget.Disk, kind == "raw", kind == "qcow2"), (description!.Digest, description.Images[0].Raw!.Target, description.Images[0].Raw!.Grow, description.Images[0].Raw!.Qcow2));
            Assert.Equal(("data", RawTarget.Partition, ImageCompression.Zstd), (description.Images[1].Partition, description.Images[1].Raw!.Target, description.Images[1].Compression));
            Assert.All(description.Images, i => Assert.Equal(i.Digest, written.Files[i.File.Path]));
        }
    }
}
