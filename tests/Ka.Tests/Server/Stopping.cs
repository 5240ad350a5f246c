using System.Text.Json;
using Ka.Protocol.Rest;
using Ka.Server.Workflows;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.Tests.Server;

/// <summary>The server ends while operations run: they are taken up by the next start.</summary>
public sealed class Stopping(RunningServer server) : IClassFixture<RunningServer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    async Task<OperationReply> DeployAsync(string nodes) =>
        JsonSerializer.Deserialize(await (await server.DeployAsync("debian12:1", nodes)).Content.ReadAsStringAsync(Cancel), RestJson.Default.OperationReply)!;

    [Fact]
    public async Task Who_watches_an_operation_holds_no_stop_up_and_is_told_of_no_end()
    {
        var operation = await DeployAsync("gris-1");
        using var events = new StreamReader(await server.Http.GetStreamAsync($"operations/{operation.Id}/events", Cancel));
        Assert.NotNull(await events.ReadLineAsync(Cancel));

        await server.RestartAsync();

        // Had the server waited for it in vain, it would have broken the connection off.
        Assert.DoesNotContain("ended", await events.ReadToEndAsync(Cancel), StringComparison.Ordinal);
        var after = JsonSerializer.Deserialize(await server.Http.GetStringAsync("operations/" + operation.Id, Cancel), RestJson.Default.OperationReply)!;
        Assert.Equal("running", after.State);
    }

    [Fact]
    public async Task When_the_host_of_workflows_has_stopped_none_is_at_work_any_more()
    {
        for (var node = 2; node <= 4; node++)
            await DeployAsync($"gris-{node}");
        var host = server.App.Services.GetRequiredService<WorkflowHost>();

        await host.StopAsync(CancellationToken.None);

        Assert.Empty(host.Running);
        await server.RestartAsync();
        Assert.True(server.App.Services.GetRequiredService<WorkflowHost>().Running.Count() >= 3);
    }
}
