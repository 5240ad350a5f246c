using System.CommandLine;
using Ka.Cli.Login;

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
    public static readonly Option<string?> Certificate = new("--certificate") { Description = "PEM file of the certificate that says who you are, in place of a token (KA_CERTIFICATE)", Recursive = true };
    public static readonly Option<string?> CertificateKey = new("--certificate-key") { Description = "PEM file of its key (KA_CERTIFICATE_KEY; default: in the same file)", Recursive = true };
    public static readonly Option<string?> User = new("--user") { Description = "Name for HTTP Basic in place of a token (KA_USER)", Recursive = true };
    public static readonly Option<string?> PasswordFile = new("--password-file") { Description = "File with its password (KA_PASSWORD_FILE); without it the password is asked for", Recursive = true };
    public static readonly Option<string?> Context = new("--context", "-C") { Description = "The server by the name of its context (KA_CONTEXT); several, separated by commas, for commands that only look", Recursive = true };
    public static readonly Option<string?> ContextFile = new("--contexts") { Description = "File with the contexts (KA_CONTEXTS; default: ka/contexts.json in the directory of your configuration)", Recursive = true };
    public static readonly Option<string?> SignIns = new("--sign-ins") { Description = "Directory with what 'ka login' got (KA_SIGN_INS; default: ka/sign-ins in the directory of your state)", Recursive = true };
    public static readonly Option<string?> Lab = new("--lab") { Description = "Talk to the server of this lab (KA_LAB)", Recursive = true };
    public static readonly Option<OutputForm> Output = new("--output", "-o") { Description = "table, json, name, nodeset or csv", Recursive = true, DefaultValueFactory = _ => OutputForm.Table };
    public static readonly Option<bool> Quiet = new("--quiet", "-q") { Description = "Only results, no progress", Recursive = true };

    public static readonly Option<string?> Sentences = new("--sentences") { Description = "Say results in the sentences of this old command", Recursive = true, Hidden = true };

    public static Server Connect(ParseResult parsed) => new(AddressFor(parsed));

    /// <summary>The server that is meant, and what proves the caller to it.</summary>
    public static ServerAddress AddressFor(ParseResult parsed) => SiteRun.Current?.Address ?? Signed(parsed, SaysToken(parsed), ServerAddress.Find(parsed.GetValue(Server), parsed.GetValue(TokenFile), parsed.GetValue(Lab)) with
    {
        Authority = parsed.GetValue(Authority) ?? Environment.GetEnvironmentVariable("KA_CA"),
        Password = (parsed.GetValue(User) ?? Environment.GetEnvironmentVariable("KA_USER")) is { } name
            ? (name, Secrets.Password(name, parsed.GetValue(PasswordFile) ?? Environment.GetEnvironmentVariable("KA_PASSWORD_FILE")))
            : null,
        Certificate = Pair(parsed.GetValue(Certificate) ?? Environment.GetEnvironmentVariable("KA_CERTIFICATE"), parsed.GetValue(CertificateKey) ?? Environment.GetEnvironmentVariable("KA_CERTIFICATE_KEY")),
    });

    static bool SaysToken(ParseResult parsed) =>
        parsed.GetValue(TokenFile) is not null || Environment.GetEnvironmentVariable("KA_TOKEN_FILE") is not null || Environment.GetEnvironmentVariable("KA_TOKEN") is not null;

    public static SignInFiles SignInsOf(ParseResult parsed) => SignInFiles.At(parsed.GetValue(SignIns), Environment.GetEnvironmentVariable);

    /// <summary>With the sign-in to this server, where nothing else is said that proves the caller.</summary>
    static ServerAddress Signed(ParseResult parsed, bool saysToken, ServerAddress address) =>
        !saysToken && address is { Password: null, Certificate: null } && SignInsOf(parsed) is var files && files.Has(address.Address) ? address with { SignIn = new SignedIn(files, address.Address) } : address;

    static (string, string)? Pair(string? certificate, string? key) => certificate is null ? null : (certificate, key ?? certificate);

    public static string ContextsPath(ParseResult parsed) => Contexts.PathOf(parsed.GetValue(ContextFile), Environment.GetEnvironmentVariable);

    /// <summary>The contexts that are meant: named, of the environment, or the one in use. What says a server in another way goes before the last two.</summary>
    public static string[] ContextNames(ParseResult parsed, Contexts contexts)
    {
        var elsewhere = parsed.GetValue(Server) is not null || parsed.GetValue(Lab) is not null;
        var names = parsed.GetValue(Context) ?? (elsewhere || Set("KA_SERVER") || Set("KA_LAB") ? null : Environment.GetEnvironmentVariable("KA_CONTEXT") ?? contexts.Current);
        return names?.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Distinct().ToArray() ?? [];

        static bool Set(string variable) => Environment.GetEnvironmentVariable(variable) is { Length: > 0 };
    }

    /// <summary>Where a context is. What proves the caller to one server is never sent to another: only the context's own files, or an option, say it.</summary>
    public static ServerAddress AddressOf(ParseResult parsed, ServerContext context) =>
        Signed(parsed, (parsed.GetValue(TokenFile) ?? context.TokenFile) is not null, ServerAddress.Of(context.Server, parsed.GetValue(TokenFile) ?? context.TokenFile) with
        {
            Authority = parsed.GetValue(Authority) ?? context.Ca,
            Password = (parsed.GetValue(User) ?? context.User) is { } name ? (name, Secrets.Password(name, parsed.GetValue(PasswordFile) ?? context.PasswordFile)) : null,
            Certificate = Pair(parsed.GetValue(Certificate) ?? context.Certificate, parsed.GetValue(CertificateKey) ?? context.Key),
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
            Common.Server, Common.TokenFile, Common.Authority, Common.Certificate, Common.CertificateKey, Common.User, Common.PasswordFile, Common.Context, Common.ContextFile, Common.SignIns, Common.Lab, Common.Output, Common.Quiet, Common.Sentences,
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
        root.Add(LoginCommands.Login());
        root.Add(LoginCommands.Logout());
        root.Add(TokenCommands.Who());
        root.Add(ContextCommands.Build());
        root.Add(BroadcastCommands.Build());
        root.Add(Neighbours.Lab());
        root.Add(Neighbours.Minimal());
        root.Add(Neighbours.ServerRun());
        root.Add(Neighbours.Config());
        root.Add(Neighbours.Sim());
        root.Add(MetaCommands.Explain());
        root.Add(MetaCommands.Version());
        root.Add(MetaCommands.Completion());
        root.Add(ManCommand.Build(root));
        return root;
    }
}
