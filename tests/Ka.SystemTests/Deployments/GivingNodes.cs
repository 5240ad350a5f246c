using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Ka.Protocol.Rest;

namespace Ka.SystemTests.Deployments;

/// <summary>An administrator gives nodes to a user for a while, on real machines.</summary>
[Collection("real machines")]
public sealed class GivingNodes(RealLab lab)
{
    [Fact]
    public async Task A_user_deploys_her_own_environment_where_she_may_and_loses_the_console_with_the_right()
    {
        await lab.ServeAsync(RealLab.Patient());
        var (alice, carol) = (await TokenAsync("alice"), await TokenAsync("carol"));
        await lab.MustKaAsync("rights", "grant", "alice", "-w", "node[1-2]", "--for", "30m");
        var applied = await lab.KaAsync("env", "apply", "-f", await DescribeAsync(), "--token-file", alice);
        Assert.True(applied.Status == 0, applied.ToString());
        Assert.Equal(65, (await lab.KaAsync("env", "show", "mine", "--token-file", carol)).Status);

        var refused = await lab.KaAsync("deploy", "mine", "-w", "node[2-3]", "--yes", "-q", "--token-file", alice);
        Assert.True(refused.Status == 77, refused.ToString());
        Assert.Contains("not allowed on node3  (rights.missing)", refused.Talk, StringComparison.Ordinal);
        Assert.Contains("no rule gives alice anything there", refused.Talk, StringComparison.Ordinal);
        var deployed = await lab.KaAsync("deploy", "mine", "-w", "node[1-2]", "-k", lab.Key + ".pub", "--yes", "-q", "--token-file", alice);
        Assert.True(deployed.Status == 0, deployed.ToString());
        Assert.Equal("node1", await lab.SshAsync("node1", "hostname"));

        await LosesTheConsoleAsync(alice);

        var history = JsonSerializer.Deserialize((await lab.MustKaAsync("nodes", "history", "node1", "-o", "json")).Output, RestJson.Default.RunRowArray)![0];
        Assert.Equal(("deploy", "mine:1", "alice"), (history.Kind, history.Environment, history.Owner));
        Assert.Contains("alice", (await lab.MustKaAsync("stats", "deploys", "-o", "csv")).Output, StringComparison.Ordinal);
    }

    /// <summary>What the machine prints is seen at its console until the right is taken back.</summary>
    async Task LosesTheConsoleAsync(string token)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "ka"), ["console", "node1", "--watch", "-q", "--token-file", token]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["KA_LAB"] = RealLab.Name;
        using var console = Process.Start(start)!;
        console.StandardInput.Close();
        var seen = new StringBuilder();
        console.OutputDataReceived += (_, line) =>
        {
            lock (seen)
                seen.AppendLine(line.Data);
        };
        console.BeginOutputReadLine();
        var errors = console.StandardError.ReadToEndAsync();
        await RealLab.UntilAsync(
            "the console shows what the machine prints",
            async () =>
            {
                Assert.False(console.HasExited, "the console ended at once");
                await lab.SshAsync("node1", "echo on-the-serial-line > /dev/console");
                lock (seen)
                    return seen.ToString().Contains("on-the-serial-line", StringComparison.Ordinal) ? "yes" : null;
            },
            TimeSpan.FromMinutes(2));
        await lab.MustKaAsync("rights", "revoke", "alice");
        var clock = Stopwatch.StartNew();
        await console.WaitForExitAsync(TestContext.Current.CancellationToken);
        TestContext.Current.SendDiagnosticMessage($"the console closed {clock.Elapsed.TotalSeconds:0.0} s after the revocation");
        Assert.Equal(77, console.ExitCode);
        Assert.Contains("rights.ended", await errors, StringComparison.Ordinal);
        Assert.Equal(77, (await lab.KaAsync("console", "node1", "--watch", "-q", "--token-file", token)).Status);
    }

    async Task<string> TokenAsync(string user)
    {
        var file = Path.Combine(RealLab.State, "token-" + user);
        File.Delete(file);
        await using (var made = new FileStream(file, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite }))
            await made.WriteAsync(Encoding.ASCII.GetBytes((await lab.MustKaAsync("token", "create", "--for-user", user, "--lifetime", "1h")).Output.Trim()));
        return file;
    }

    static async Task<string> DescribeAsync()
    {
        var tiny = Path.Combine(RealLab.Work, "tiny");
        var file = Path.Combine(tiny, "mine.yaml");
        await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(Path.Combine(tiny, "tiny.yaml"))).Replace("name: tiny", "name: mine\nvisibility: private", StringComparison.Ordinal));
        return file;
    }
}
