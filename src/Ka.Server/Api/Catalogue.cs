using System.Collections.Immutable;
using Ka.Core.Documents;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Core.Rights;
using Ka.Protocol.Rest;
using Ka.Server.Environments;
using Ka.Server.Identity;
using Ka.Store;

namespace Ka.Server.Api;

/// <summary>What is done with registered environments beside deploying them: tags, comparison, export.</summary>
public static class Catalogue
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        var group = routes.MapGroup("/api/v1/environments");
        group.MapPost("{name}/{version:int}/tags", TagAsync).Needs(Audience.Users, Right.Environments).Accepts<TagsBody>("application/json").Produces<EnvironmentReply>();
        group.MapGet("{name}/diff", Diff).Needs(Audience.Users, Right.View).Produces<DiffReply>();
        group.MapPost("{name}/diff", DiffFileAsync).Needs(Audience.Users, Right.Environments).Accepts<ApplyBody>("application/json").Produces<DiffReply>();
        group.MapGet("{name}/export", Export).Needs(Audience.Users, Right.Environments).Produces<ExportReply>();
        group.MapGet("{name}/{version:int}/content/{sha256}", Content).Needs(Audience.Users, Right.Environments).Produces(StatusCodes.Status200OK, contentType: "application/octet-stream");
    }

    /// <summary>Changes what is said of an environment, never what it is: its version stays.</summary>
    static async Task<IResult> TagAsync(string name, int version, HttpRequest request, Requester who, EnvironmentCatalogue catalogue, CancellationToken cancel)
    {
        var (body, refusal) = await Bodies.ReadAsync(request, RestJson.Default.TagsBody, cancel);
        if (body is null)
            return refusal!;
        if (catalogue.FindFor(who.Caller, name, version) is not { } found)
            return Environments.Unknown($"{name}:{version}");
        if (EnvironmentRights.RefuseRemoval(who.Caller, found) is { } notYours)
            return Problems.Of(notYours);
        var faults = new List<Fault>();
        var changed = Tagged(found, body, faults);
        if (faults.Count > 0)
            return Problems.Of(faults);
        if (RefuseTags(catalogue, who.Caller, found, changed) is { } denied)
            return Problems.Of(denied);
        if (!body.DryRun)
            catalogue.Replace(changed);
        return Results.Json(Environments.Reply(changed), RestJson.Default.EnvironmentReply);
    }

    static OsEnvironment Tagged(OsEnvironment e, TagsBody body, List<Fault> faults)
    {
        if (body.Visibility is { } word)
        {
            e = e with { Visibility = word switch { "shared" => Visibility.Shared, "public" => Visibility.Public, _ => Visibility.Private } };
            if (word is not ("private" or "shared" or "public"))
                faults.Add(Fault.Of(FaultCodes.RequestInvalid, $"'{DocumentError.Cut(word)}' is no visibility: private, shared or public is expected"));
        }
        if (body.Destructive is { } destructive)
            e = e with { Destructive = destructive };
        if (body.ToggleDestructive)
            e = e with { Destructive = !e.Destructive };
        if (body.Alias is { } alias)
        {
            if (alias.Length > 0 && !DescriptionReader.IsName(alias))
                faults.Add(Fault.Of(FaultCodes.RequestInvalid, $"'{DocumentError.Cut(alias)}' is no name for an environment"));
            e = e with { Alias = alias.Length > 0 ? alias : null };
        }
        foreach (var (key, value) in body.Labels ?? ImmutableDictionary<string, string?>.Empty)
            if (!EnvironmentLabels.IsKey(key) || (value is not null && !EnvironmentLabels.IsValue(value)))
                faults.Add(Fault.Of(FaultCodes.RequestInvalid, $"'{DocumentError.Cut(key)}' is no label: {EnvironmentLabels.Form} is expected"));
            else
                e = e with { Labels = value is null ? e.Labels.Remove(key) : e.Labels.SetItem(key, value) };
        if (e.Labels.Count > EnvironmentLabels.CountLimit)
            faults.Add(Fault.Of(FaultCodes.RequestInvalid, $"more than {EnvironmentLabels.CountLimit} labels"));
        return e;
    }

    /// <summary>Why somebody may not give these tags; null when they may. What everybody sees is for operators, and an alias belongs to who uses the word first.</summary>
    internal static Fault? RefuseTags(EnvironmentCatalogue catalogue, Caller caller, OsEnvironment before, OsEnvironment after) =>
        caller.Role < Role.Operator && after.Visibility == Visibility.Public && before.Visibility != Visibility.Public
            ? Fault.Of(FaultCodes.RightsRole, $"{caller.Name} is {caller.Role.Word()}; 'visibility: public' needs operator")
            : after.Alias is { } alias && alias != after.Name && catalogue.All().FirstOrDefault(e => e.Name != after.Name && (e.Name == alias || e.Alias == alias)) is { } taken
            ? Fault.Of(FaultCodes.EnvironmentExists, $"'{alias}' is {(taken.Name == alias ? "the name" : "an alias")} of {taken.Word}")
            : null;

    static IResult Diff(string name, int? version, string other, Requester who, EnvironmentCatalogue catalogue)
    {
        var faults = new List<Fault>();
        var left = Deployments.FindEnvironment(catalogue, who.Caller, version is null ? name : $"{name}:{version}", faults);
        var right = Deployments.FindEnvironment(catalogue, who.Caller, other, faults);
        return faults.Count > 0 ? Problems.Of(faults) : Reply(left!.Word, EnvironmentFacts.Of(left), right!.Word, EnvironmentFacts.Of(right));
    }

    /// <summary>A description against what is registered; its files are only known by their digests.</summary>
    static async Task<IResult> DiffFileAsync(string name, int? version, HttpRequest request, Requester who, EnvironmentCatalogue catalogue, CancellationToken cancel)
    {
        var (body, refusal) = await Bodies.ReadAsync(request, RestJson.Default.ApplyBody, cancel);
        if (body is null)
            return refusal!;
        if (catalogue.FindFor(who.Caller, name, version) is not { } registered)
            return Environments.Unknown(version is null ? name : $"{name}:{version}");
        var (description, errors) = DescriptionReader.Read(body.File, body.Text);
        return description is null
            ? Environments.Invalid(body, errors)
            : Reply(registered.Word, EnvironmentFacts.Of(registered), body.File, EnvironmentFacts.Of(description, body.Files, registered));
    }

    static IResult Reply(string leftName, ImmutableSortedDictionary<string, string> left, string rightName, ImmutableSortedDictionary<string, string> right) => Results.Json(
        new DiffReply(leftName, rightName, [.. EnvironmentFacts.Differences(left, right).Select(d => new DifferenceReply(d.Key, d.Left, d.Right))]), RestJson.Default.DiffReply);

    static IResult Export(string name, int? version, Requester who, EnvironmentCatalogue catalogue)
    {
        if (catalogue.FindFor(who.Caller, name, version) is not { } environment)
            return Environments.Unknown(version is null ? name : $"{name}:{version}");
        var written = DescriptionWriter.Write(environment);
        return Results.Json(new ExportReply(environment.Name, environment.Version, written.Text, written.Files), RestJson.Default.ExportReply);
    }

    /// <summary>A file of an environment that the caller sees; others of the store are not there for them.</summary>
    static IResult Content(string name, int version, string sha256, Requester who, EnvironmentCatalogue catalogue, FileStore files) =>
        catalogue.FindFor(who.Caller, name, version) is { } environment && DescriptionWriter.Write(environment).Files.ContainsValue(sha256)
            ? files.Has(sha256) ? Results.File(files.PathOf(sha256), "application/octet-stream", enableRangeProcessing: true)
                : Problems.Of(Fault.Of(FaultCodes.EnvironmentUnknown, $"{environment.Word} is no longer whole in the store", sha256))
            : Environments.Unknown($"{name}:{version}");
}
