using Ka.Core.Faults;
using Ka.Engine.Workflows;
using Ka.Store;

namespace Ka.Server.Identity;

/// <summary>
/// Ends operations whose owner has no right any more on one of their nodes, because it was taken back, is over, or the owner left a
/// group or role. Looks every second, so that the end comes within five.
/// </summary>
public sealed partial class RightsWatch(
    NodeRights rights, Authentication people, Func<IEnumerable<Workflow>> running, Func<string, string, Fault, bool> end, TimeProvider clock, ILogger<RightsWatch> log)
{
    public static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    /// <summary>Watches until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancel)
    {
        while (true)
        {
            await Task.Delay(Period, clock, cancel);
            Look();
        }
    }

    internal void Look()
    {
        var workflows = running().ToArray();
        if (workflows.Length == 0)
            return;
        var rules = rights.Rules;
        foreach (var workflow in workflows)
        {
            var verdict = rights.Decide(people.Of(workflow.Owner, "owner"), workflow.Cluster.Nodes, node => NodeRights.NeedOf(workflow, node), rules);
            if (!verdict.Allowed && end(workflow.Id, "the server", Fault.Of(FaultCodes.RightsEnded, $"{workflow.Owner} has no right any more on {verdict.Denied}", NodeRights.Said(verdict))))
                LogEnded(workflow.Id, workflow.Owner, verdict.Denied.ToString());
        }
    }

    [LoggerMessage(4001, LogLevel.Warning, "{Workflow} is ended: {Owner} has no right any more on {Nodes}")]
    partial void LogEnded(string workflow, string owner, string nodes);
}

/// <summary>Runs the watch with the server.</summary>
sealed class RightsWatching(RightsWatch watch) : BackgroundService
{
    protected override Task ExecuteAsync(CancellationToken stoppingToken) => watch.RunAsync(stoppingToken);
}
