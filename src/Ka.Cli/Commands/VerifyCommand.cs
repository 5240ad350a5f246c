using System.CommandLine;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary><c>ka nodes verify -w NODES</c>: are they still what was deployed?</summary>
static class VerifyCommand
{
    /// <summary>Differences of one node that the table shows; JSON has more.</summary>
    const int Shown = 10;

    public static Command Build()
    {
        var nodes = new NodesOption { Description = "Node set", Required = true };
        var mode = new Option<string>("--mode") { Description = "sample: names, owners, modes and a share of the content; full: everything", DefaultValueFactory = _ => "sample" };
        var command = new Command("verify", "Compare running nodes with what was deployed on them") { nodes, mode };
        command.SetAction((parsed, cancel) => RunAsync(parsed, nodes.Read(parsed)!, parsed.GetValue(mode)!, cancel));
        return command;
    }

    static async Task<int> RunAsync(ParseResult parsed, string nodes, string mode, CancellationToken cancel)
    {
        using var server = Common.Connect(parsed);
        var reply = await server.PostAsync("api/v1/nodes/verify", new VerifyBody(nodes, mode), RestJson.Default.VerifyBody, RestJson.Default.NodeVerifyReplyArray, cancel);
        if (reply.Value is not { } checks)
            return Terminal.Say(reply.Problem!);
        if (Common.IsJson(parsed))
            Terminal.Json(checks, RestJson.Default.NodeVerifyReplyArray);
        else
        {
            Terminal.Table(
                ["NODE", "ENVIRONMENT", "STATE", "COMPARED", "READ", "DIFFERENCES"],
                checks.Select(c => new[] { c.Node, c.Environment ?? "", c.State, c.Compared.ToString(), c.Read.ToString(), c.Differing.ToString() }));
            foreach (var check in checks.Where(c => c.State != "same"))
                foreach (var line in check.Differences.Take(Shown).DefaultIfEmpty($"{check.Message}  ({check.Code})"))
                    Console.WriteLine(Terminal.Safe($"{check.Node}: {line}"));
        }
        return checks.All(c => c.State == "same") ? ExitCodes.Done : checks.All(c => c.State != "same") ? ExitCodes.AllFailed : ExitCodes.SomeFailed;
    }
}
