using System.CommandLine;
using Ka.Core.Documents;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary><c>ka token create|ls|revoke</c> and <c>ka whoami</c>.</summary>
static class TokenCommands
{
    public static Command Build()
    {
        var token = new Command("token", "Tokens by which scripts and other machines are known to the server");
        var owner = new Option<string?>("--for-user") { Description = "Whose token it is (administrators; default: yours)" };
        var role = new Option<string?>("--role") { Description = "The most that it may be (default: your role)" };
        role.AcceptOnlyFromAmong("viewer", "user", "operator", "admin");
        var lifetime = new Option<string>("--lifetime") { Description = "How long it is good, as in 12h or 90d, at most 366d", DefaultValueFactory = _ => "90d" };
        var note = new Option<string>("--note") { Description = "What it is for", DefaultValueFactory = _ => "" };
        var create = new Command("create", "Make a token and print it, this once") { owner, role, lifetime, note };
        create.SetAction((parsed, cancel) => CreateAsync(parsed, parsed.GetValue(owner), parsed.GetValue(role), parsed.GetValue(lifetime)!, parsed.GetValue(note)!, cancel));
        token.Add(create);
        var list = new Command("ls", "List your tokens; administrators: everybody's");
        list.SetAction(ListAsync);
        token.Add(list);
        var id = new Argument<string>("ID") { Description = "As in T-4M7Q2K" };
        var revoke = new Command("revoke", "Take a token back; it is refused from then on") { id };
        revoke.SetAction((parsed, cancel) => RevokeAsync(parsed, parsed.GetValue(id)!, cancel));
        token.Add(revoke);
        return token;
    }

    public static Command Who()
    {
        var who = new Command("whoami", "Say who the server takes you for, and your role");
        who.SetAction(async (parsed, cancel) =>
        {
            using var server = Common.Connect(parsed);
            var reply = await server.GetAsync("api/v1/whoami", RestJson.Default.WhoReply, cancel);
            if (reply.Value is not { } me)
                return Terminal.Say(reply.Problem!);
            if (Common.IsJson(parsed))
                Terminal.Json(me, RestJson.Default.WhoReply);
            else
                Console.WriteLine(Terminal.Safe($"{me.Name}  role {me.Role}  by {me.By}{(me.Groups.IsEmpty ? "" : "  groups " + string.Join(',', me.Groups))}"));
            return ExitCodes.Done;
        });
        return who;
    }

    static async Task<int> CreateAsync(ParseResult parsed, string? owner, string? role, string lifetime, string note, CancellationToken cancel)
    {
        if (!Quantity.TryParseDuration(lifetime, out var time))
            return Terminal.Misused($"--lifetime '{lifetime}' is not {Quantity.DurationForm}");
        using var server = Common.Connect(parsed);
        var reply = await server.PostAsync("api/v1/tokens", new TokenBody(owner, role, note, (long)time.TotalSeconds), RestJson.Default.TokenBody, RestJson.Default.TokenReply, cancel);
        if (reply.Value is not { } made)
            return Terminal.Say(reply.Problem!);
        if (Common.IsJson(parsed))
            Terminal.Json(made, RestJson.Default.TokenReply);
        else
        {
            Console.WriteLine(made.Token);
            Console.Error.WriteLine(Terminal.Safe($"{made.Id} of {made.Owner}, {made.Role}, until {made.ExpiresAt.ToLocalTime():yyyy-MM-dd HH:mm}. It is not shown again; keep it in a file that only you can read (KA_TOKEN_FILE)."));
        }
        return ExitCodes.Done;
    }

    static async Task<int> ListAsync(ParseResult parsed, CancellationToken cancel)
    {
        using var server = Common.Connect(parsed);
        var reply = await server.GetAsync("api/v1/tokens", RestJson.Default.TokenReplyArray, cancel);
        if (reply.Value is not { } tokens)
            return Terminal.Say(reply.Problem!);
        if (Common.IsJson(parsed))
            Terminal.Json(tokens, RestJson.Default.TokenReplyArray);
        else
            Terminal.Table(
                ["ID", "OWNER", "ROLE", "STATE", "UNTIL", "USED", "NOTE"],
                tokens.Select(t => new[]
                {
                    t.Id, t.Owner, t.Role, t.State, t.ExpiresAt.ToLocalTime().ToString("yyyy-MM-dd HH:mm"), t.UsedAt is { } at ? Terminal.Ago(at, DateTimeOffset.UtcNow) : "never", t.Note,
                }));
        return ExitCodes.Done;
    }

    static async Task<int> RevokeAsync(ParseResult parsed, string id, CancellationToken cancel)
    {
        using var server = Common.Connect(parsed);
        var reply = await server.DeleteAsync($"api/v1/tokens/{Uri.EscapeDataString(id)}", RestJson.Default.TokenReply, cancel);
        if (reply.Value is not { } token)
            return Terminal.Say(reply.Problem!);
        Console.WriteLine($"{token.Id} of {token.Owner} is {token.State}");
        return ExitCodes.Done;
    }
}
