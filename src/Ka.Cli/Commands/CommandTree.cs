using System.CommandLine;

namespace Ka.Cli.Commands;

/// <summary>How a command prints what it found.</summary>
public enum OutputForm
{
    Table,
    Json,
    Name,
    Nodeset,
    Csv,
}

/// <summary>Options that every command understands.</summary>
static class Common
{
    public static readonly Option<string?> Server = new("--server", "-S") { Description = "The server: unix:PATH or https://HOST:PORT (KA_SERVER)", Recursive = true };
    public static readonly Option<string?> TokenFile = new("--token-file") { Description = "File with the token (KA_TOKEN, KA_TOKEN_FILE)", Recursive = true };
    public static readonly Option<string?> Authority = new("--ca") { Description = "PEM file of the only authority or certificate to believe (KA_CA)", Recursive = true };
    public static readonly Option<string?> User = new("--user") { Description = "Name for HTTP Basic in place of a token (KA_USER)", Recursive = true };
    public static readonly Option<string?> PasswordFile = new("--password-file") { Description = "File with its password (KA_PASSWORD_FILE); without it the password is asked for", Recursive = true };
    public static readonly Option<string?> Lab = new("--lab") { Description = "Talk to the server of this lab (KA_LAB)", Recursive = true };
    public static readonly Option<OutputForm> Output = new("--output", "-o") { Description = "table, json, name, nodeset or csv", Recursive = true, DefaultValueFactory = _ => OutputForm.Table };
    public static readonly Option<bool> Quiet = new("--quiet", "-q") { Description = "Only results, no progress", Recursive = true };

    public static readonly Option<string?> Sentences = new("--sentences") { Description = "Say results in the sentences of this old command", Recursive = true, Hidden = true };

    public static Server Connect(ParseResult parsed) => new(ServerAddress.Find(parsed.GetValue(Server), parsed.GetValue(TokenFile), parsed.GetValue(Lab)) with
    {
        Authority = parsed.GetValue(Authority) ?? Environment.GetEnvironmentVariable("KA_CA"),
        Password = (parsed.GetValue(User) ?? Environment.GetEnvironmentVariable("KA_USER")) is { } name
            ? (name, Secrets.Password(name, parsed.GetValue(PasswordFile) ?? Environment.GetEnvironmentVariable("KA_PASSWORD_FILE")))
            : null,
    });

    public static bool IsJson(ParseResult parsed) => parsed.GetValue(Output) == OutputForm.Json;
}

/// <summary>All commands of <c>ka</c>.</summary>
public static class CommandTree
{
    public static RootCommand Build()
    {
        var root = new RootCommand("Ka deploys operating systems onto clusters.")
        {
            Common.Server, Common.TokenFile, Common.Authority, Common.User, Common.PasswordFile, Common.Lab, Common.Output, Common.Quiet, Common.Sentences,
        };
        root.Add(DeployCommand.Build());
        root.Add(RebootCommand.Build());
        root.Add(PowerCommands.Build());
        root.Add(ConsoleCommand.Build());
        root.Add(OpsCommands.Build());
        root.Add(EnvCommands.Build());
        root.Add(NodesCommands.Build());
        root.Add(SshCommand.Build());
        root.Add(CopyCommand.Build());
        root.Add(NodeUseCommands.Stop());
        root.Add(StatsCommands.Build());
        root.Add(RightsCommands.Build());
        root.Add(TokenCommands.Build());
        root.Add(TokenCommands.Who());
        root.Add(BroadcastCommands.Build());
        root.Add(Neighbours.Lab());
        root.Add(Neighbours.Minimal());
        root.Add(Neighbours.ServerRun());
        root.Add(Neighbours.Config());
        root.Add(Neighbours.Sim());
        root.Add(MetaCommands.Explain());
        root.Add(MetaCommands.Version());
        root.Add(MetaCommands.Completion(root));
        return root;
    }
}
