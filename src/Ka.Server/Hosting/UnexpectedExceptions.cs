using Ka.Core.Faults;
using Ka.Server.Api;

namespace Ka.Server.Hosting;

/// <summary>One of the three places where exceptions are caught: the pipeline of HTTP requests.</summary>
sealed partial class UnexpectedExceptions(RequestDelegate next, ILogger<UnexpectedExceptions> log)
{
    public async Task InvokeAsync(HttpContext context)
    {
        try
        {
            await next(context);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
        }
        catch (Microsoft.AspNetCore.Connections.ConnectionResetException)
        {
            // Who was sending is gone, and nobody reads an answer.
        }
        catch (BadHttpRequestException bad) when (!context.Response.HasStarted)
        {
            await Problems.Of(bad.StatusCode, Fault.Of(FaultCodes.RequestInvalid, bad.Message)).ExecuteAsync(context);
        }
        catch (Exception bug)
        {
            LogBug(bug, context.Request.Method, context.Request.Path);
            if (!context.Response.HasStarted)
                await Problems.Of(StatusCodes.Status500InternalServerError, Fault.Of(FaultCodes.ServerInternal, "the server met an unexpected exception; its log says more")).ExecuteAsync(context);
        }
    }

    [LoggerMessage(1001, LogLevel.Error, "{Method} {Path} met an unexpected exception")]
    partial void LogBug(Exception exception, string method, string path);
}
