using System.CommandLine;
using System.Runtime.CompilerServices;
using Ka.Broadcast;
using Ka.Broadcast.Standalone;
using Ka.Cli;
using Ka.Cli.Commands;
using Ka.Cli.Live;
using Ka.Protocol.Rest;

namespace Ka.Tests.Cli;

public class LiveTests
{
    static readonly DateTimeOffset Noon = DateTimeOffset.UnixEpoch.AddHours(12);

    static readonly OperationReply Operation = new(
        "D-4M7Q2K", "deploy", "root", "running", "debian12:1", "gris-[1-4]", 4, "", "", Noon, null, 0, [], []);

    /// <summary>A run in which gris-3 needs a second try and gris-4 fails.</summary>
    static readonly OperationEvent[] Run =
    [
        Event(1, 0, "started", "gris-[1-4]", null, Follow("run", "gris-[1-4]", "SetDeploymentEnv", "Untrusted", "boot_minimal")),
        Event(2, 1, "step_ok", "gris-[1-4]", "SetDeploymentEnv/Untrusted/boot_minimal", Follow("run", "gris-[1-4]", "SetDeploymentEnv", "Untrusted", "reboot")),
        Event(3, 9, "step_failed", "gris-[1-3]", "SetDeploymentEnv/Untrusted/reboot",
            Follow("run", "gris-[1-2]", "SetDeploymentEnv", "Untrusted", "await_agent"), Follow("retry", "gris-3", "SetDeploymentEnv", "Untrusted", "boot_minimal", 1))
            with { Faults = [new EventFault("gris-3", "power.refused", "the BMC answered with an error", null)] },
        Event(4, 60, "step_ok", "gris-[1-2]", "SetDeploymentEnv/Untrusted/mount", Follow("run", "gris-[1-2]", "BroadcastEnv", "Chain", "send_image")),
        Event(5, 70, "step_failed", "gris-4", "SetDeploymentEnv/Untrusted/reboot", Follow("failed", "gris-4", null, null, null))
            with { Faults = [new EventFault("gris-4", "power.bmc_unreachable", "the BMC does not answer", null)] },
    ];

    static readonly OperationEvent[] End =
    [
        Event(6, 120, "step_ok", "gris-[1-2]", "BootNewEnv/Kexec/await_deployed", Follow("ok", "gris-[1-2]", null, null, null)),
        Event(7, 150, "ended", "gris-3", "BootNewEnv/Kexec/await_deployed", Follow("ok", "gris-3", null, null, null)) with { State = "partial" },
    ];

    [Fact]
    public void A_run_is_drawn_as_it_stands() => Golden("running", Drawn(Run, 80));

    [Fact]
    public void A_transfer_is_drawn_with_its_rate_and_what_is_left()
    {
        var state = Folded(Run);
        state.Apply([.. new[] { "gris-1", "gris-2" }.Select((n, i) => new NodeProgress(n, "running", 2, "BroadcastEnv", "Chain", "send_image", 0, null, "receive", (50 + i) << 20, 100 << 20, 10 << 20))]);
        Golden("transfer", string.Join('\n', LiveView.Draw("D-4M7Q2K", state, Noon.AddSeconds(80), 80)) + "\n");
    }

    [Fact]
    public void A_node_that_holds_the_others_back_is_named()
    {
        var state = Folded(Run);
        state.Apply([new NodeProgress("gris-2", "running", 2, "BroadcastEnv", "Chain", "send_image", 0, null, "receive", 50 << 20, 100 << 20, 10 << 20) { Slow = "stands aside: its disk takes 1 MB/s" }]);
        var lines = LiveView.Draw("D-4M7Q2K", state, Noon.AddSeconds(80), 120);
        Assert.Contains(lines, l => l.StartsWith("     chain of 1", StringComparison.Ordinal) && l.EndsWith(" · slow: gris-2", StringComparison.Ordinal));
        Assert.Contains(lines, l => l.Contains("gris-2", StringComparison.Ordinal) && l.EndsWith("stands aside: its disk takes 1 MB/s", StringComparison.Ordinal));
    }

    [Fact]
    public void A_broadcast_without_a_server_shows_each_hop_with_its_rate_and_ring()
    {
        ReceiverState State(string name, long written, string? slow = null) => new(
            name, "receiving", null, new ChainProgress(100_000_000, 0, 0, written, written, 8_000_000, "10.0.0.1:7", 1, 0) { RingCapacity = 32_000_000 }, null, null, slow);
        ReceiverState[] states = [State("n1", 50_000_000), State("n2", 40_000_000, "held the others back: its disk takes 10 MB/s")];
        var had = new Dictionary<string, long> { ["n1"] = 30_000_000, ["n2"] = 30_000_000 };
        Assert.Equal(
            ["45 %  15 MB/s each  done 0  lost 0  behind: n2 40 %  ETA 0m06s", "  n2 held the others back: its disk takes 10 MB/s"],
            SendTalk.Draw(states, had, TimeSpan.FromSeconds(1), 0));
        Assert.Equal(
            "  n1                50 %    20.0 MB/s  ring  25 %  from 10.0.0.1:7",
            SendTalk.Draw(states, had, TimeSpan.FromSeconds(1), 120)[2]);
        Assert.Equal(["0 of 1 have come"], SendTalk.Draw([new ReceiverState("n1", "absent", null, null, null, null)], had, TimeSpan.FromSeconds(1), 0));
    }

    [Fact]
    public void An_end_is_drawn_with_every_nodes_fate() => Golden("ended", Drawn([.. Run, .. End], 60));

    [Fact]
    public void Many_nodes_have_a_letter_each()
    {
        var many = Event(1, 0, "started", "gris-[1-100]", null, Follow("run", "gris-[1-90]", "SetDeploymentEnv", "Untrusted", "reboot"));
        Golden("many", Drawn([many], 60));
    }

    [Fact]
    public void No_line_is_wider_than_the_terminal() =>
        Assert.All(LiveView.Draw(new string('t', 200), Folded([.. Run, .. End]), Noon, 40), line => Assert.True(line.Length <= 40, line));

    [Fact]
    public void A_log_gets_one_line_for_each_thing_worth_knowing()
    {
        var state = new WatchState();
        var lines = new List<string>();
        foreach (var happened in (OperationEvent[])[.. Run, .. End])
        {
            state.Apply(happened);
            lines.AddRange(PlainLines.Of(Operation, happened, state, verbose: false));
        }
        Golden("plain", string.Join('\n', lines) + "\n");
    }

    [Fact]
    public void Folding_remembers_where_everybody_is()
    {
        var state = Folded(Run);
        Assert.Equal(["gris-1 2 running", "gris-2 2 running", "gris-3 1 retrying", "gris-4 1 failed"], state.Nodes.OrderBy(n => n.Name).Select(n => $"{n.Name} {n.Macro} {n.State}"));
        Assert.Equal((5L, 2, 1, "running"), (state.LastSeq, state.Past(1), state.Failed, state.State));
    }

    [Fact]
    public void A_summary_says_step_cause_evidence_and_the_next_command()
    {
        var failure = new FailureReply("gris-4", 1, "SetDeploymentEnv", "reboot", 3, "power.bmc_unreachable", "the BMC does not answer", "line one\nline two", "meaning", "Look at the BMC.");
        var ended = Operation with { State = "partial", Ok = "gris-[1-3]", Failed = "gris-4", EndedAt = Noon.AddSeconds(150), Failures = [failure] };
        Golden("summary", string.Join('\n', Summary.Lines(ended)) + "\n");
    }

    [Theory]
    [InlineData("done", 0), InlineData("failed", 1), InlineData("partial", 3), InlineData("cancelled", 5), InlineData("running", 70)]
    public void An_end_has_its_exit_status(string state, int status) => Assert.Equal(status, ExitCodes.OfState(state));

    [Theory]
    [InlineData(409, "nodes.busy", 75), InlineData(409, "environment.in_use", 75), InlineData(401, "auth.missing", 77), InlineData(403, "anything", 77)]
    [InlineData(0, "server.unreachable", 69), InlineData(503, "minimal.missing", 78), InlineData(500, "server.internal", 70), InlineData(422, "nodes.invalid", 65)]
    public void A_refusal_has_its_exit_status(int status, string code, int exit) => Assert.Equal(exit, ExitCodes.OfProblem(status, code));

    [Fact]
    public void Every_command_option_and_argument_is_described()
    {
        Walk(CommandTree.Build());

        static void Walk(Command command)
        {
            Assert.False(string.IsNullOrWhiteSpace(command.Description), command.Name);
            Assert.All(command.Options, o => Assert.False(string.IsNullOrWhiteSpace(o.Description), $"{command.Name} {o.Name}"));
            Assert.All(command.Arguments, a => Assert.False(string.IsNullOrWhiteSpace(a.Description), $"{command.Name} {a.Name}"));
            foreach (var below in command.Subcommands)
                Walk(below);
        }
    }

    const string Site = "/run/ka/kad.sock", Demo = "/run/ka/lab/demo/kad.sock", Lab = "/run/ka/lab/lab/kad.sock";

    [Theory]
    [InlineData("http://a:1", "demo", "KA_SERVER=http://b:2", Site, "http://a:1")]
    [InlineData(null, "demo", "KA_SERVER=http://b:2", Site, "unix:" + Demo)]
    [InlineData(null, null, "KA_SERVER=http://b:2 KA_LAB=demo", Site, "http://b:2")]
    [InlineData(null, null, "KA_LAB=demo", Site, "unix:" + Demo)]
    [InlineData(null, null, "", Site + " " + Lab, "unix:" + Site)]
    [InlineData(null, null, "", Lab, "unix:" + Lab)]
    [InlineData(null, null, "", "", "unix:" + Site)]
    public void An_option_goes_before_the_environment_and_that_before_what_runs_here(string? server, string? lab, string variables, string sockets, string address) =>
        Assert.Equal(address, Find(server, null, lab, variables, sockets).Address);

    [Theory]
    [InlineData("mine", null, "KA_TOKEN=said KA_TOKEN_FILE=theirs", "in mine")]
    [InlineData(null, null, "KA_TOKEN=said KA_TOKEN_FILE=theirs", "said")]
    [InlineData(null, "demo", "KA_TOKEN_FILE=theirs", "in theirs")]
    [InlineData(null, "demo", "HOME=/h", null)]
    [InlineData(null, null, "HOME=/h", null)]
    [InlineData(null, null, "HOME=/h KA_SERVER=https://b:2", "in /h/.config/ka/token")]
    [InlineData(null, null, "HOME=/h XDG_CONFIG_HOME=/c KA_SERVER=https://b:2", "in /c/ka/token")]
    [InlineData(null, null, "KA_TOKEN=said KA_SERVER=https://b:2", "said")]
    public void A_token_is_found_in_the_same_order_and_on_a_unix_socket_none_is_needed(string? file, string? lab, string variables, string? token) => Assert.Equal(token, Find(null, file, lab, variables, Site).Token);

    static ServerAddress Find(string? server, string? file, string? lab, string variables, string sockets)
    {
        var set = variables.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(v => v.Split('=', 2)).ToDictionary(v => v[0], v => v[1]);
        return ServerAddress.Find(server, file, lab, set.GetValueOrDefault, path => sockets.Split(' ').Contains(path), path => "in " + path);
    }

    static string Drawn(OperationEvent[] events, int width) =>
        string.Join('\n', LiveView.Draw("D-4M7Q2K  debian12:1 → 4 nodes: gris-[1-4]", Folded(events), Noon.AddSeconds(200), width)) + "\n";

    static WatchState Folded(OperationEvent[] events)
    {
        var state = new WatchState();
        foreach (var happened in events)
            state.Apply(happened);
        return state;
    }

    static OperationEvent Event(long seq, int seconds, string kind, string nodes, string? at, params EventFollow[] follows)
    {
        var place = at?.Split('/') ?? [null!, null!, null!];
        return new OperationEvent(seq, Noon.AddSeconds(seconds), kind, nodes, 0, place[0], place[1], place[2], 0, [], [.. follows], "running");
    }

    static EventFollow Follow(string what, string nodes, string? macro, string? strategy, string? step, int attempt = 0) => new(what, nodes, 0, macro, strategy, step, attempt);

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
}
