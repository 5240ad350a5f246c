using System.CommandLine;
using System.Text;
using Ka.Cli;
using Ka.Cli.Commands;
using Ka.Tests.Cli;
using Ka.Tests.Server;

namespace Ka.Tests.BadInputs;

/// <summary>Command lines that are none, and surroundings that fail: a sentence and an exit status, never a trace.</summary>
public sealed class CommandLines(RunningServer server) : IClassFixture<RunningServer>
{
    Task<Told> RunAsync(params string[] words) => InProcess.RunAsync([.. words, "-S", "unix:" + server.PathOf("kad.sock"), "--contexts", server.PathOf("none.json")]);

    [Theory]
    [InlineData("", "Required command")]
    [InlineData("deploi debian12", "did you mean 'deploy'?")]
    [InlineData("nodes lss", "did you mean 'ls'?")]
    [InlineData("deploy debian12 --nodse gris-1", "did you mean '--nodes'?")]
    [InlineData("deploy debian12 -w gris-5 -w gris-6", "-w")]
    [InlineData("deploy debian12 debian13 -w gris-5", "debian13")]
    [InlineData("deploy debian12 -w gris-5 --verify some", "some")]
    [InlineData("deploy debian12 -w gris-5 --confirm-nodes many", "many")]
    [InlineData("power explode -w gris-5", "explode")]
    [InlineData("power off -w gris-5 --level harder", "harder")]
    [InlineData("power off -w gris-5 --timeout soon", "soon")]
    [InlineData("nodes ls -o xml", "xml")]
    [InlineData("nodes show", "show")]
    [InlineData("ops ls --limit x", "x")]
    [InlineData("rights grant alice", "-w")]
    [InlineData("completion tcsh", "tcsh")]
    public async Task Wrong_use_is_told_with_what_is_wrong(string line, string says)
    {
        var said = await RunAsync(line.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.True((said.Status, said.Output) == (2, ""), $"{said.Status}: {said.Errors}");
        Assert.Contains(says, said.Errors, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", said.Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("-h")]
    [InlineData("deploy -h")]
    [InlineData("deploy -h debian12 --nodse")]
    [InlineData("power off --help -w x")]
    [InlineData("nodes --help")]
    [InlineData("man")]
    [InlineData("man deploy")]
    [InlineData("explain")]
    public async Task Help_is_on_standard_output_wherever_it_is_asked_for(string line)
    {
        var said = await RunAsync(line.Split(' '));
        Assert.True(said.Status == 0 && said.Output.Length > 100, said.Errors);
    }

    [Theory]
    [InlineData("explain no.code", 65)]
    [InlineData("explain boot.no_dhpc", 65)]
    [InlineData("nodes show gris-99", 65)]
    [InlineData("nodes fold a,,b", 65)]
    [InlineData("ops show D-NONE00", 65)]
    [InlineData("ops logs D-NONE00 -w gris-[", 65)]
    [InlineData("env show nothing", 65)]
    [InlineData("env apply -f /nowhere.yaml", 65)]
    [InlineData("man nothing", 2)]
    [InlineData("rights check alice deploy -w gris-99", 65)]
    [InlineData("deploy debian12 -w gris-5 -k /nowhere --yes", 65)]
    [InlineData("deploy debian12 -w gris-5 --custom-steps /nowhere --yes", 65)]
    public async Task Bad_data_has_a_sentence_and_its_status_and_no_output(string line, int status)
    {
        var said = await RunAsync(line.Split(' '));
        Assert.True((said.Status, said.Output) == (status, "") && said.Errors.StartsWith("ka: ", StringComparison.Ordinal), $"{said.Status}: {said.Output}{said.Errors}");
        Assert.Empty((await RunAsync([.. line.Split(' '), "-o", "json"])).Output);
    }

    [Fact]
    public async Task A_full_disk_under_standard_output_is_said_with_its_status()
    {
        var errors = new StringWriter();
        var status = await Task.Run(async () =>
        {
            FlowConsole.Redirect(new FullDisk(), errors);
            return await SeveralServers.InvokeAsync(CommandTree.Build().Parse(["nodes", "fold", "gris-1"]));
        }, TestContext.Current.CancellationToken);
        Assert.Equal((74, "ka: input or output failed: No space left on device\n"), (status, errors.ToString()));
    }

    sealed class FullDisk : TextWriter
    {
        public override Encoding Encoding => Encoding.UTF8;

        public override void Write(char value) => throw new IOException("No space left on device");
    }

    [Fact]
    public async Task A_server_that_is_not_there_is_69_with_what_to_do()
    {
        foreach (var address in (string[])["unix:/nowhere.sock", "https://127.0.0.1:1"])
        {
            var said = await InProcess.RunAsync("nodes", "ls", "-S", address, "--contexts", server.PathOf("none.json"));
            Assert.Equal((69, ""), (said.Status, said.Output));
            Assert.Contains("server.unreachable", said.Errors, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_home_that_is_not_set_is_no_error() => Assert.Equal("/.config/ka/contexts.json", Contexts.PathOf(null, _ => null));

    [Fact]
    public void Every_command_option_and_argument_says_what_it_is()
    {
        var silent = new List<string>();
        void Look(Command command, string path)
        {
            if (command.Hidden)
                return;
            if (command.Description is not { Length: > 5 })
                silent.Add(path);
            silent.AddRange(command.Options.Where(o => !o.Hidden && o.Description is not { Length: > 5 }).Select(o => $"{path} {o.Name}"));
            silent.AddRange(command.Arguments.Where(a => !a.Hidden && a.Description is not { Length: > 3 }).Select(a => $"{path} {a.Name}"));
            foreach (var below in command.Subcommands)
                Look(below, $"{path} {below.Name}");
        }
        Look(CommandTree.Build(), "ka");
        Assert.Empty(silent);
    }

    [Fact]
    public void Every_command_and_option_is_in_the_manual()
    {
        var root = CommandTree.Build();
        var pages = ManPages.All(root).ToDictionary(p => p.File, p => p.Text);
        Assert.Equal(root.Subcommands.Count(c => !c.Hidden) + 1, pages.Count);
        void Look(Command command, string page)
        {
            Assert.All(command.Options.Where(o => !o.Hidden), o => Assert.Contains(ManPages.Text(o.Name), page, StringComparison.Ordinal));
            foreach (var below in command.Subcommands.Where(c => !c.Hidden))
                Look(below, page);
        }
        foreach (var command in root.Subcommands.Where(c => !c.Hidden))
            Look(command, pages[$"ka-{command.Name}.1"]);
        Assert.All(root.Options.Where(o => !o.Hidden), o => Assert.Contains(ManPages.Text(o.Name), pages["ka.1"], StringComparison.Ordinal));
        // In roff, a line that begins with a dot is a request: only those that are meant.
        Assert.All(pages.Values.SelectMany(p => p.Split('\n')).Where(l => l.StartsWith('.') || l.StartsWith('\'')), l => Assert.Matches(@"^\.(TH|SH|SS|PP|TP|B|I|BR)( |$)", l));
    }

    [Fact]
    public void What_may_come_next_is_known_to_completion()
    {
        var root = CommandTree.Build();
        Assert.Contains("deploy", root.Parse("dep").GetCompletions().Select(c => c.Label));
        Assert.Contains("--broadcast", root.Parse("deploy debian12 --bro").GetCompletions().Select(c => c.Label));
        Assert.Contains("very-hard", root.Parse("power off --level ").GetCompletions().Select(c => c.Label));
        Assert.Contains("json", root.Parse("nodes ls -o j").GetCompletions().Select(c => c.Label), StringComparer.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task The_files_of_a_package_are_written_at_once()
    {
        using var directory = new TemporaryDirectory();
        Assert.Equal(0, (await InProcess.RunAsync("man", "--all", directory["p"])).Status);
        Assert.Equal(["_ka", "ka", "ka.fish"], Directory.GetFiles(directory["p/completions"]).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.Contains(".SH SYNOPSIS", await File.ReadAllTextAsync(directory["p/man1/ka-deploy.1"], TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }
}
