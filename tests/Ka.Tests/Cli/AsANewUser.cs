using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Ka.Tests.Server;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;

namespace Ka.Tests.Cli;

/// <summary><c>ka</c> against a running server, as people and scripts call it; the old names and the first command as programs of their own.</summary>
public sealed class AsANewUser(RunningServer server) : IClassFixture<RunningServer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    Task<Told> RootAsync(params string[] words) => InProcess.RunAsync(["-S", "unix:" + server.PathOf("kad.sock"), .. words]);

    Task<Told> AliceAsync(string token, params string[] words)
    {
        var file = server.PathOf("token-" + Guid.NewGuid().ToString("N"));
        File.WriteAllText(file, token);
        return InProcess.RunAsync(["-S", server.WithoutToken.BaseAddress!.GetLeftPart(UriPartial.Authority), "--ca", server.PathOf("state/users.pem"), "--token-file", file, .. words]);
    }

    static async Task<Told> RunAsync(string program, params string[] words)
    {
        var start = new ProcessStartInfo(Path.IsPathRooted(program) ? program : Path.Combine(AppContext.BaseDirectory, program)) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (var word in words)
            start.ArgumentList.Add(word);
        foreach (var name in start.Environment.Keys.Where(k => k.StartsWith("KA_", StringComparison.Ordinal)).ToArray())
            start.Environment.Remove(name);
        using var process = Process.Start(start)!;
        process.StandardInput.Close();
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(Cancel), process.StandardError.ReadToEndAsync(Cancel));
        await process.WaitForExitAsync(Cancel);
        return new Told(process.ExitCode, await output, await errors);
    }

    [Fact]
    public async Task An_administrator_gives_nodes_to_a_user_who_is_refused_on_all_others_with_the_rule_and_77()
    {
        var me = await RunAsync("ka", "-S", "unix:" + server.PathOf("kad.sock"), "whoami");
        Assert.True(me.Status == 0, me.Errors);
        Assert.Contains("by socket", me.Output, StringComparison.Ordinal);
        var token = (await RootAsync("token", "create", "--for-user", "alice", "--lifetime", "1h", "--note", "test")).Output.Trim();
        Assert.StartsWith("ka_", token, StringComparison.Ordinal);
        var granted = await RootAsync("rights", "grant", "alice", "-w", "gris-[5-6]", "--for", "10m", "--source", "job:17");
        Assert.True(granted.Status == 0, granted.Errors);

        Assert.Contains("alice  role user  by token", (await AliceAsync(token, "whoami")).Output, StringComparison.Ordinal);
        var check = await AliceAsync(token, "rights", "check", "-", "deploy", "-w", "gris-[5-7]");
        Assert.Equal(77, check.Status);
        Assert.Matches("allowed  gris-\\[5-6\\]  G-.{6} \\(alice on gris-\\[5-6\\] until .*job:17\\)", check.Output);
        Assert.Contains("denied   gris-7  no rule gives alice anything there", check.Output, StringComparison.Ordinal);
        Assert.Equal(0, (await AliceAsync(token, "rights", "check", "-", "deploy", "-w", "gris-[5-6]")).Status);
        var power = await AliceAsync(token, "power", "off", "-w", "gris-[5-7]");
        Assert.Equal(77, power.Status);
        Assert.Contains("not allowed on gris-7  (rights.missing)", power.Errors, StringComparison.Ordinal);
        Assert.Equal(77, (await AliceAsync(token, "rights", "grant", "alice", "-w", "gris-7")).Status);
        Assert.Equal(77, (await AliceAsync("ka_wrong", "whoami")).Status);

        Assert.Equal(0, (await RootAsync("rights", "revoke", "--source", "job:17")).Status);
        Assert.Equal(77, (await AliceAsync(token, "rights", "check", "-", "deploy", "-w", "gris-5")).Status);
        Assert.Contains("revoked", (await RootAsync("rights", "ls", "--ended", "--subject", "alice")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_password_from_a_file_proves_a_name_and_a_certificate_that_is_not_the_servers_is_not_believed()
    {
        var file = server.PathOf("password");
        await File.WriteAllTextAsync(file, RunningServer.PasswordOfPaul + "\n", Cancel);
        var address = server.WithoutToken.BaseAddress!.GetLeftPart(UriPartial.Authority);
        var paul = await InProcess.RunAsync("-S", address, "--ca", server.PathOf("state/users.pem"), "--user", "paul", "--password-file", file, "whoami");
        Assert.True(paul.Status == 0 && paul.Output.Contains("paul  role user  by password", StringComparison.Ordinal), paul.Errors);
        Assert.Equal(69, (await InProcess.RunAsync("-S", address, "whoami")).Status);
    }

    [Fact]
    public async Task Where_no_server_listens_it_is_said_what_is_there()
    {
        using var left = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        left.Bind(new UnixDomainSocketEndPoint(server.PathOf("left.sock")));
        foreach (var (name, why) in new[] { ("no.sock", "there is no such socket  (server.unreachable)"), ("left.sock", "nobody listens there  (server.unreachable)") })
        {
            var said = await InProcess.RunAsync("-S", "unix:" + server.PathOf(name), "whoami");
            Assert.Equal(69, said.Status);
            Assert.Contains(why, said.Errors, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_partial_success_has_its_status_its_files_and_its_statistics()
    {
        var (ok, ko, id) = (server.PathOf("ok"), server.PathOf("ko"), server.PathOf("id"));
        var off = await RootAsync("power", "off", "-w", "rouge-[1-3]", "--level", "hard", "--ok-nodes", ok, "--ko-nodes", ko, "--write-id", id, "-q");
        Assert.True(off.Status == 3, off.Output + off.Errors);
        Assert.Equal("rouge-1\nrouge-2\n", await File.ReadAllTextAsync(ok, Cancel));
        Assert.Equal("rouge-3\n", await File.ReadAllTextAsync(ko, Cancel));
        var operation = (await File.ReadAllTextAsync(id, Cancel)).Trim();
        Assert.StartsWith("P-", operation, StringComparison.Ordinal);
        Assert.Contains("power.refused", off.Output, StringComparison.Ordinal);
        Assert.Equal(0, (await RootAsync("power", "on", "-w", "rouge-[1-3]", "--level", "hard", "--min-nodes", "60%", "-q")).Status);
        Assert.Equal(1, (await RootAsync("ops", "retry", operation, "--failed", "--yes", "-q")).Status);
        Assert.Equal(3, (await RootAsync("ops", "wait", operation)).Status);
        var failing = await RootAsync("stats", "failing", "--min-runs", "1", "-w", "rouge-[1-3]", "-o", "csv");
        Assert.Matches("^node,cluster,runs,failed,share,lower,cause,last,suggested\nrouge-3,rouge,[0-9]+,[0-9]+,1,0\\.[0-9]+,power\\.refused,.*,(drain)?\n$", failing.Output);
        Assert.Equal("node,result\nrouge-1,ok\nrouge-2,ok\nrouge-3,failed\n", (await RootAsync("stats", "deploys", "--kind", "power", "--operation", operation, "--columns", "node,result", "--sort", "-result,node", "-o", "csv")).Output);
        Assert.Equal("rouge-3\n", (await RootAsync("stats", "deploys", "--kind", "power", "--operation", operation, "--columns", "node", "--min-failures", "1", "-n", "5", "-o", "csv")).Output["node\n".Length..]);
        Assert.Equal(2, (await RootAsync("stats", "causes", "--sort", "nothing")).Status);
        Assert.Contains(operation, (await RootAsync("nodes", "history", "rouge-3")).Output, StringComparison.Ordinal);
        Assert.Contains("on       rouge-[1-3]", (await RootAsync("power", "status", "-w", "rouge-[1-3]")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_script_that_calls_the_old_names_finds_its_sentences_files_and_statuses()
    {
        string Old(string name)
        {
            var link = server.PathOf(name);
            File.Delete(link);
            File.CreateSymbolicLink(link, Path.Combine(AppContext.BaseDirectory, "ka"));
            return link;
        }
        var socket = "unix:" + server.PathOf("kad.sock");
        var power = await RunAsync(Old("kapower3"), "--off", "-l", "hard", "-m", "rouge-1", "-m", "rouge-3", "-o", server.PathOf("ok3"), "-n", server.PathOf("ko3"), "-S", socket);
        Assert.True(power.Status == 0, power.Errors);
        Assert.Contains("The power operation is successful on nodes\nrouge-1\nThe power operation failed on nodes\nrouge-3 (", power.Output, StringComparison.Ordinal);
        Assert.Equal("rouge-3\n", await File.ReadAllTextAsync(server.PathOf("ko3"), Cancel));
        Assert.Equal(0, (await InProcess.OldAsync("kapower3", "--on", "-l", "hard", "-m", "rouge-1", "-S", socket)).Status);
        Assert.Equal(2, (await InProcess.OldAsync("kadeploy3", "-e", "debian12", "-m", "rouge-99", "-S", socket)).Status);
        Assert.Equal(7, (await InProcess.OldAsync("kadeploy3", "-e", "nothing", "-m", "rouge-1", "-S", socket)).Status);
        Assert.Equal(1, (await InProcess.OldAsync("kadeploy3", "-e", "debian12")).Status);
        Assert.Equal(0, (await InProcess.OldAsync("karights3", "-a", "-u", "bert", "-m", "rouge-2", "-p", "*", "-S", socket)).Status);
        Assert.Equal(11, (await InProcess.OldAsync("karights3", "-a", "-u", "carl", "-m", "rouge-2", "-S", socket)).Status);
        Assert.Equal(0, (await InProcess.OldAsync("karights3", "-a", "-o", "-u", "carl", "-m", "rouge-2", "-S", socket)).Status);
        Assert.Equal(0, (await InProcess.OldAsync("karights3", "-d", "-u", "carl", "-m", "rouge-2", "-S", socket)).Status);
        Assert.StartsWith("operation,node,", (await InProcess.OldAsync("kastat3", "-a", "-o", "power", "-S", socket)).Output, StringComparison.Ordinal);
        Assert.StartsWith("name,cluster,", (await InProcess.OldAsync("kanodes3", "-s", "-S", socket)).Output, StringComparison.Ordinal);
        Assert.Contains("debian12", (await InProcess.OldAsync("kaenv3", "-l", "-S", socket)).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_script_at_the_end_is_told_how_it_went()
    {
        var script = server.PathOf("end.sh");
        await File.WriteAllTextAsync(script, $"#!/bin/sh\necho \"$KA_OPERATION $KA_STATE $KA_OK $KA_FAILED\" >{server.PathOf("told")}\nexit 7\n", Cancel);
        File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var on = await RootAsync("power", "on", "-w", "rouge-[1-3]", "--level", "hard", "--script", script, "--write-id", server.PathOf("script-id"), "-q");
        Assert.True(on.Status == 3, on.Output + on.Errors);
        Assert.Contains("ended with status 7", on.Errors, StringComparison.Ordinal);
        Assert.Equal($"{(await File.ReadAllTextAsync(server.PathOf("script-id"), Cancel)).Trim()} partial rouge-[1-2] rouge-3\n", await File.ReadAllTextAsync(server.PathOf("told"), Cancel));
        Assert.Equal(1, (await RootAsync("power", "on", "-w", "rouge-[1-2]", "--level", "hard", "--script", script, "-q")).Status);
    }

    [Fact]
    public async Task Nodes_are_read_from_standard_input()
    {
        var said = await RunAsync("/bin/sh", "-c", $"printf 'rouge-1\\n# not this\\nrouge-3\\n' | '{Path.Combine(AppContext.BaseDirectory, "ka")}' power status --nodes-file - -o nodeset -S 'unix:{server.PathOf("kad.sock")}'");
        Assert.True(said.Status == 0, said.Errors);
        Assert.Contains("rouge-[1,3]", said.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_description_is_registered_and_deployed_by_one_command()
    {
        await File.WriteAllBytesAsync(server.PathOf("at-once.tar"), RunningServer.Image(), Cancel);
        await File.WriteAllTextAsync(server.PathOf("at-once.yaml"), "name: at-once\nimage: { file: at-once.tar }\nboot: { kernel: /boot/vmlinuz }\n", Cancel);
        var said = await RootAsync("deploy", "--env-file", server.PathOf("at-once.yaml"), "-w", "gris-5", "--no-wait", "--yes", "-o", "json");
        Assert.True(said.Status == 0, said.Output + said.Errors);
        Assert.Contains("\"environment\": \"at-once:1\"", said.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_description_comes_from_an_address_and_names_addresses_only()
    {
        var builder = QuietSite.Builder();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        await using var site = builder.Build();
        var image = RunningServer.Image();
        site.MapGet("/e.yaml", () => $"name: from-afar\nimage: {{ file: \"https://elsewhere.invalid/i.tar\", digest: \"sha256:{RunningServer.Digest(image)}\" }}\nboot: {{ kernel: /boot/vmlinuz }}\n");
        site.MapGet("/beside.yaml", () => "name: beside\nimage: { file: at-once.tar }\nboot: { kernel: /boot/vmlinuz }\n");
        site.MapGet("/long.yaml", () => new string('#', (1 << 20) + 1));
        await site.StartAsync(Cancel);
        var at = site.Urls.Single();

        await File.WriteAllBytesAsync(server.PathOf("here.tar"), image, Cancel);
        await File.WriteAllTextAsync(server.PathOf("here.yaml"), "name: here\nimage: { file: here.tar }\nboot: { kernel: /boot/vmlinuz }\n", Cancel);
        Assert.Equal(0, (await RootAsync("env", "apply", "-f", server.PathOf("here.yaml"))).Status);
        var said = await RootAsync("deploy", "--env-file", $"{at}/e.yaml", "-w", "gris-6", "--no-wait", "--yes", "-o", "json");
        Assert.True(said.Status == 0, said.Output + said.Errors);
        Assert.Contains("\"environment\": \"from-afar:1\"", said.Output, StringComparison.Ordinal);
        foreach (var (path, why) in new[] { ("/beside.yaml", "names addresses only"), ("/long.yaml", "cannot be read"), ("/none.yaml", "404") })
        {
            var refused = await RootAsync("env", "apply", "-f", at + path);
            Assert.Equal(65, refused.Status);
            Assert.Contains(why, refused.Errors, StringComparison.Ordinal);
            Assert.Contains("environment.invalid", refused.Errors, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(2, "power", "off")]
    [InlineData(2, "power", "off", "-w", "rouge-1", "--min-nodes", "many")]
    [InlineData(2, "power", "off", "-w", "rouge-1", "--no-wait", "--ok-nodes", "/dev/null")]
    [InlineData(2, "power", "off", "-w", "rouge-1", "--ok-nodes", "/nowhere/x")]
    [InlineData(2, "power", "off", "-w", "rouge-1", "--ok-nodes", "x", "--ko-nodes", "./x")]
    [InlineData(2, "power", "off", "-w", "rouge-1", "--script", "/etc/passwd")]
    [InlineData(2, "rights", "grant", "alice", "-w", "rouge-1", "--for", "soon")]
    [InlineData(2, "rights", "grant", "alice", "-w", "rouge-1", "--until", "yesterday")]
    [InlineData(2, "rights", "revoke")]
    [InlineData(2, "token", "create", "--lifetime", "1")]
    [InlineData(2, "stop")]
    [InlineData(2, "stop", "fire", "--release")]
    [InlineData(2, "stats", "failing", "--since", "long ago")]
    [InlineData(2, "deploy", "-w", "rouge-1")]
    [InlineData(2, "deploy", "debian12", "--env-file", "x", "-w", "rouge-1")]
    [InlineData(65, "power", "off", "-w", "rouge-[")]
    [InlineData(65, "power", "off", "-w", "rouge-99")]
    [InlineData(65, "power", "status", "--nodes-file", "/nowhere")]
    [InlineData(65, "reboot", "-w", "rouge-1", "--to", "nothing:x")]
    [InlineData(2, "reboot", "-c", "-w", "gris-8", "--dry-run")]
    public async Task Wrong_use_is_told_from_bad_data(int status, params string[] words)
    {
        if (words.Contains("gris-8"))
            server.SetLast("gris-8", "gone:1");
        var said = await RootAsync(words);
        Assert.True(said.Status == status && said.Errors.Length > 0, $"{said.Status}: {said.Output}{said.Errors}");
        Assert.Empty(said.Output);
    }
}
