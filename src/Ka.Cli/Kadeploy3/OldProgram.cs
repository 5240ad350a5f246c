using Ka.Cli.Commands;

namespace Ka.Cli.Kadeploy3;

/// <summary>Carries out a command line of Kadeploy3: ka's own commands, the old sentences, the old exit statuses.</summary>
static class OldProgram
{
    /// <param name="common">Options of every ka command.</param>
    public static async Task<int> RunAsync(string tool, string[] arguments, params string[] common)
    {
        Terminal.KeepLastCode();
        var call = OldTools.Translate(tool, arguments, Environment.GetEnvironmentVariable);
        foreach (var note in call.Notes)
            Console.Error.WriteLine(Terminal.Safe($"{tool}: {note}"));
        if (call.Refusal is { } why)
        {
            Console.Error.WriteLine(Terminal.Safe($"{tool}: {why}"));
            return OldStatus.Client;
        }
        var status = await CarryOutAsync(call, ["--sentences", tool, .. common]);
        return Environment.GetEnvironmentVariable("KA_STRICT_EXIT") == "1" ? status : OldStatus.Of(status, Terminal.LastCode, checksDestructive: call.Words.Contains("--check-destructive"));
    }

    static async Task<int> CarryOutAsync(OldCall call, string[] common)
    {
        var parsed = CommandTree.Build().Parse([.. call.Words, .. common]);
        if (call.AllServers && parsed.Errors.Count == 0)
        {
            var (divided, refused) = await OldServers.DivideAsync(call, parsed, CancellationToken.None);
            if (divided is null)
                return refused;
            call = divided;
            parsed = CommandTree.Build().Parse([.. call.Words, .. common]);
        }
        var status = await SeveralServers.InvokeAsync(parsed);
        if (!Console.IsErrorRedirected)
            Console.Error.WriteLine(Terminal.Safe($"same as: {call}"));
        return status;
    }
}

/// <summary>Kadeploy3's exit statuses: 0 when the request was finished, whatever became of the nodes; the number of the API's error when it was refused.</summary>
public static class OldStatus
{
    /// <summary>Wrong use, or left by Ctrl-C.</summary>
    public const int Client = 1;

    public const int Http = 2, Server = 3;

    /// <param name="code">Of the server's problem, when there was one.</param>
    /// <param name="checksDestructive">Then the statuses are 0, 1 and 2, as batch schedulers know them.</param>
    public static int Of(int status, string? code, bool checksDestructive) =>
        checksDestructive && status is >= 0 and <= 2 ? status
        : code is null ? status is ExitCodes.Done or ExitCodes.AllFailed or ExitCodes.SomeFailed ? 0 : Client
        : OfCode(code);

    static int OfCode(string code) => code switch
    {
        "operation.unknown" => 1,
        "operation.invalid" => 8,
        "nodes.busy" or "rights.conflict" or "environment.in_use" => 11,
        "rights.missing" or "rights.role" => 6,
        "reboot.destructive" => 30,
        "environment.exists" => 10,
        "server.internal" => Server,
        "server.unreachable" => Client,
        _ when code.StartsWith("nodes.", StringComparison.Ordinal) => 2,
        _ when code.StartsWith("rights.", StringComparison.Ordinal) => 4,
        _ when code.StartsWith("environment.", StringComparison.Ordinal) => 7,
        _ when code.StartsWith("archive.", StringComparison.Ordinal) => 5,
        _ => Http,
    };
}
